"""What the resolvers answer: one set of records for the machine itself, one for the mesh, one for the LAN.

Each set is complete. A set that held only what differs and fell through to a common one would lose names: in
Unbound a name below another makes the upper one exist, empty, and an empty name ends the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hentou.generation.offer import Offers, Route
from hentou.generation.shared import once
from hentou.model.types import Audience, Collective, Machine

_HERE = "@relay@"
"""Stands for the address of the machine whose resolver is asked, in text that all machines share."""


@dataclass(frozen=True, slots=True)
class Named:
    """A name that a machine answers to. A machine's own name has no audience: it only helps admins."""

    name: str
    machine: Machine
    audience: Audience | None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Records of every site, in text that other sites' machines take over as it is."""

    by_mesh: dict[str, str]
    by_lan: dict[str, str]

    def mesh(self, site: str) -> bytes:
        """Names of all sites but one, as reached through the mesh."""
        return "".join(text for name, text in self.by_mesh.items() if name != site).encode()

    def lan(self, site: str, relay: str) -> bytes:
        """Names of all sites but one, for a LAN whose visitors the machine at `relay` relays."""
        text = "".join(text for name, text in self.by_lan.items() if name != site)
        return text.replace(_HERE, relay).encode()


@once
def elsewhere(collective: Collective, offers: Offers) -> Elsewhere:
    """What is the same on every machine of other sites."""
    named = _by_site(collective, offers)
    return Elsewhere(
        {site: _data(_mesh(collective, found)) for site, found in named.items()},
        {site: _data(_abroad(collective, found)) for site, found in named.items()},
    )


@once
def _by_site(collective: Collective, offers: Offers) -> dict[str, tuple[Named, ...]]:
    found: dict[str, list[Named]] = {site: [] for site in sorted(collective.sites)}
    for machine in collective.machines.values():
        found[machine.site].append(Named(collective.machine_name(machine), machine, None))
        for route in offers.on(Route, machine.name):
            found[machine.site].append(Named(route.name, machine, route.audience))
    return {site: tuple(sorted(named, key=lambda n: n.name)) for site, named in found.items()}


def views(collective: Collective, machine: Machine, offers: Offers) -> dict[str, str]:
    """Records of a machine's own site: for itself, the mesh, and the LAN where it has an address."""
    named = _by_site(collective, offers)[machine.site]
    texts = {
        "self": _data(_siblings(collective, machine, named)),
        "mesh": _data(_mesh(collective, named)),
    }
    if machine.address and collective.site_of(machine).lan:
        texts["lan"] = _data(_lan(named)).replace(_HERE, str(machine.address))
    return texts


def _siblings(collective: Collective, machine: Machine, named: Iterable[Named]) -> Iterator[str]:
    """What a machine itself is told of its site: loopback, the LAN, and only then the mesh."""
    for item in named:
        if item.machine.name == machine.name:
            yield from (f"{item.name}. A 127.0.0.1", f"{item.name}. AAAA ::1")
        elif item.machine.address and machine.address:
            yield f"{item.name}. A {item.machine.address}"
        else:
            yield from _by_mesh(collective, item)


def _mesh(collective: Collective, named: Iterable[Named]) -> Iterator[str]:
    for item in named:
        if item.audience is not Audience.LAN:
            yield from _by_mesh(collective, item)


def _by_mesh(collective: Collective, item: Named) -> Iterator[str]:
    if item.machine.name in collective.keys:
        yield f"{item.name}. AAAA {collective.mesh_address(item.machine)}"
    elif item.audience is Audience.INTERNET:
        yield from public_records(item.name, collective.gateways)


def _lan(named: Iterable[Named]) -> Iterator[str]:
    """Names of the site, for its own LAN: straight to the machine, which needs no Internet and no mesh."""
    for item in named:
        if item.machine.address:
            yield f"{item.name}. A {item.machine.address}"
        elif item.audience is not None:
            yield f"{item.name}. A {_HERE}"
        else:
            yield from public_records(item.name, (item.machine,))


def _abroad(collective: Collective, named: Iterable[Named]) -> Iterator[str]:
    """Names of a site, for another site's LAN: the public way, or relayed by that site's machine."""
    public = [m for m in collective.gateways if m.public]
    for item in named:
        if item.audience is None:
            yield from public_records(item.name, (item.machine,))
        elif item.audience is Audience.INTERNET and public:
            yield from public_records(item.name, public)
        elif item.audience is not Audience.LAN:
            yield f"{item.name}. A {_HERE}"


def public_records(name: str, machines: Sequence[Machine]) -> list[str]:
    """A name's records that lead to the public addresses of machines."""
    found = []
    for machine in machines:
        if machine.public:
            found.append(f"{name}. A {machine.public.ipv4}")
            if machine.public.ipv6:
                found.append(f"{name}. AAAA {machine.public.ipv6}")
    return found


def _data(lines: Iterable[str]) -> str:
    return "".join(f'    local-data: "{line}"\n' for line in dict.fromkeys(lines))
