"""The firewall of one machine: exactly the ports that are offered on it, to those they are offered to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hentou.generation.fragment import File
from hentou.generation.offer import Offers, Port, Reach
from hentou.generation.template import fill
from hentou.model.types import Collective, Machine

_FROM_MESH = 'iifname "hentou" ip6 saddr @mesh'
_FROM_MACHINES = 'iifname "hentou" ip6 saddr @machines'
_FROM_GATEWAYS = 'iifname "hentou" ip6 saddr @gateways'
_FROM_LAN = 'iifname != "hentou" ip saddr @lan'


@dataclass(frozen=True, slots=True)
class Opening:
    """One line of the ruleset: packets that match `source` may reach a port."""

    source: str
    protocol: str
    number: int
    comment: str

    def __str__(self) -> str:
        """As nftables reads it."""
        match = f"{self.source} {self.protocol} dport {self.number}".strip()
        return f'{match} counter accept comment "{self.comment}"'


def ruleset(collective: Collective, machine: Machine, offers: Offers) -> File:
    """/etc/nftables.conf of one machine."""
    ports = offers.on(Port, machine.name)
    lan = collective.site_of(machine).lan
    text = fill(
        __package__,
        "nftables.conf",
        lan=str(lan.subnet) if lan else "",
        mesh=f"{collective.mesh_prefix}::/64",
        machines=[str(collective.mesh_address(m)) for m in collective.managed if m.name in collective.keys],
        gateways=[str(collective.mesh_address(m)) for m in collective.gateways],
        openings=list(openings(ports, has_lan=lan is not None)),
        gateway=machine.gateway,
    )
    because = [collective.pointer(machine)]
    because += [pointer for port in ports for pointer in port.because]
    return File("/etc/nftables.conf", text, 0o755, because=tuple(dict.fromkeys(because)))


def openings(ports: Iterable[Port], *, has_lan: bool) -> Iterator[Opening]:
    """One opening for each kind of source that may reach a port, in the order of numbers."""
    for port in sorted(ports, key=lambda p: (p.number, p.protocol)):
        for source in _sources(port.reach, has_lan=has_lan):
            yield Opening(source, port.protocol, port.number, f"{port.by}: {port.why}")


def _sources(reach: Reach, *, has_lan: bool) -> tuple[str, ...]:
    lan = (_FROM_LAN,) if has_lan else ()
    return {
        Reach.LOCAL: (),
        Reach.LAN: lan,
        Reach.MESH: (_FROM_MESH,),
        Reach.MACHINES: (_FROM_MACHINES,),
        Reach.GATEWAYS: (_FROM_GATEWAYS,),
        Reach.INTRANET: (*lan, _FROM_MESH),
        Reach.INTERNET: ("",),
    }[reach]
