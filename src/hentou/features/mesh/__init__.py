"""mesh: WireGuard from every machine to every gateway, whatever box it stands behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hentou.generation.contract import View
from hentou.generation.fragment import Check, CheckKind, File, Fragment, OnChange, Unit
from hentou.generation.offer import Offer, Port, Reach
from hentou.generation.template import fill
from hentou.model.types import Collective, Machine, Pointer, Spec

PORT = 51820
"""UDP port of WireGuard, as everywhere."""

_KEEPALIVE = 20
"""Seconds; mobile carriers forget a mapping after as little as 30."""


class Settings(Spec):
    """Nothing to choose: addresses and ports derive from names, keys from enrolment."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of one tunnel."""

    name: str
    key: str
    allowed: str
    endpoint: str = ""
    keepalive: int = 0


def offer(view: View[Settings]) -> Iterable[Offer]:
    """Gateways are called by everyone; the others call, so that their port is theirs but closed."""
    machine = view.machine
    if machine.external is None:
        reach = Reach.INTERNET if machine.gateway else Reach.LOCAL
        yield Port(machine.name, "mesh", "udp", PORT, reach, "WireGuard", (view.here,))


def peers(collective: Collective, machine: Machine) -> Iterator[Peer]:
    """Whom a machine talks to, if enrolled: gateways, and for a gateway everyone, in the order of names."""
    gateways = [m for m in collective.gateways if m.name in collective.keys and m.name != machine.name]
    for position, gateway in enumerate(gateways):
        yield _gateway_peer(collective, machine, gateway, relays=position == 0)
    if machine.gateway:
        for other in collective.machines.values():
            if not other.gateway and other.name in collective.keys:
                yield Peer(other.name, collective.keys[other.name].wireguard, _only(collective, other))


def _gateway_peer(collective: Collective, machine: Machine, gateway: Machine, *, relays: bool) -> Peer:
    # WireGuard picks the most specific prefix: the first gateway relays, others speak for themselves.
    everyone = relays and not machine.gateway
    return Peer(
        gateway.name,
        collective.keys[gateway.name].wireguard,
        f"{collective.mesh_prefix}::/64" if everyone else _only(collective, gateway),
        f"{gateway.public.ipv4}:{PORT}" if gateway.public else "",
        _KEEPALIVE,
    )


def _only(collective: Collective, machine: Machine) -> str:
    return f"{collective.mesh_address(machine)}/128"


def render(view: View[Settings]) -> Fragment | None:
    """The tunnels of an enrolled machine; nothing before, since nobody knows its key."""
    collective, machine = view.collective, view.machine
    if machine.name not in collective.keys:
        return None
    found = tuple(peers(collective, machine))
    own = (view.here, Pointer(f"keys/{machine.name}.yaml", ("wireguard",)))
    theirs = tuple(Pointer(f"keys/{peer.name}.yaml", ("wireguard",)) for peer in found)
    pulses = tuple(_pulses(collective, found))
    return Fragment(
        by="mesh",
        packages=("iputils-ping", "wireguard-tools"),
        files=(
            File(
                "/etc/wireguard/hentou.conf",
                _configuration(collective, machine, found),
                0o600,
                because=own + theirs,
            ),
            File(
                "/etc/systemd/system/wg-quick@hentou.service.d/hentou.conf",
                fill(__package__, "wg-quick.service.conf", address=collective.mesh_address(machine)),
                because=own,
            ),
            *(File(f"/etc/systemd/system/{name}", text, because=own) for name, text in pulses),
        ),
        units=(
            Unit("wg-quick@hentou.service", OnChange.RELOAD, ("/etc/wireguard/hentou.conf",), because=own),
            *(Unit(name, because=own) for name, _ in pulses),
        ),
        checks=(Check("mesh: interface", CheckKind.UNIT, "wg-quick@hentou.service", own),),
    )


def _pulses(collective: Collective, found: Iterable[Peer]) -> Iterator[tuple[str, bytes]]:
    """For each peer that is called, the unit that keeps its tunnel alive: its name and text."""
    for peer in found:
        if peer.endpoint:
            address = collective.mesh_address(collective.machines[peer.name])
            text = fill(__package__, "pulse.service", gateway=peer.name, address=address)
            yield f"hentou-mesh-{peer.name}.service", text


def _configuration(collective: Collective, machine: Machine, found: Iterable[Peer]) -> bytes:
    address = f"{collective.mesh_address(machine)}/64"
    return fill(
        __package__,
        "hentou.conf",
        address=address,
        port=PORT,
        peers=tuple(found),
        managed=not machine.external,
    )


def join_script(collective: Collective, machine: Machine) -> str:
    """What an external machine's own administrator reads and runs once to join the mesh: plain bash."""
    found = tuple(peers(collective, machine))
    configuration = _configuration(collective, machine, found).decode()
    text = fill(
        __package__,
        "join.sh",
        collective=collective.spec.title or collective.spec.name,
        contact=collective.spec.contact,
        machine=machine.name,
        configuration=configuration,
        units={name: unit.decode() for name, unit in _pulses(collective, found)},
        prefix=f"{collective.mesh_prefix}::/64",
    )
    return text.decode()
