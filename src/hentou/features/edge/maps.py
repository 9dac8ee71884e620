"""Which name leads where, for each kind of visitor: the maps in which HAProxy looks up a TLS name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hentou.generation.offer import Offers, Route
from hentou.generation.shared import once
from hentou.generation.template import fill
from hentou.model.types import Audience, Collective, Machine

RELAYED = 8443
"""Where a gateway hands on visitors from the Internet, over the mesh."""

VISITED = 8444
"""Where another site's machine hands on visitors from its LAN, over the mesh."""

LOCAL = "local"
"""The backend of services that run on this machine."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Lines of every site, in text that other machines take over as it is."""

    abroad: dict[str, str]
    internet: dict[str, str]


@once
def _shared(collective: Collective, offers: Offers) -> Shared:
    abroad: dict[str, list[str]] = {site: [] for site in sorted(collective.sites)}
    internet: dict[str, list[str]] = {name: [] for name in collective.machines}
    for route in sorted(offers.all(Route), key=lambda r: r.name):
        if route.machine not in collective.keys:
            continue  # not in the mesh yet: nothing could be handed on to it
        line = f"{route.name} {backend(route)}\n"
        if route.audience is not Audience.LAN:
            abroad[collective.machines[route.machine].site].append(line)
        if route.audience is Audience.INTERNET:
            internet[route.machine].append(line)
    return Shared(
        {site: "".join(lines) for site, lines in abroad.items()},
        {machine: "".join(lines) for machine, lines in internet.items()},
    )


def backend(route: Route) -> str:
    """The backend that hands a name's visitors on to another machine."""
    return f"pass-{route.machine}" if route.passthrough else f"relay-{route.machine}"


def all_maps(collective: Collective, machine: Machine, offers: Offers) -> dict[str, bytes]:
    """The four maps of one machine, by file name.

    `lan` is for visitors of the site itself, `visited` for those of other sites and the mesh, `relayed` for
    those that a gateway hands on, `internet` for those who come straight from outside. Only the first holds
    names of the LAN audience; the middle two hold only what runs here, so that nothing is handed on twice.
    """
    shared = _shared(collective, offers)
    local = [r for r in offers.on(Route, machine.name) if not r.passthrough]
    siblings = [
        route
        for name in collective.site_of(machine).machines
        if name != machine.name and name in collective.keys
        for route in offers.on(Route, name)
    ]
    lan = _lines((r.name, LOCAL) for r in local) + _lines((r.name, backend(r)) for r in siblings)
    lan += "".join(text for site, text in shared.abroad.items() if site != machine.site)
    relayed = _lines((r.name, LOCAL) for r in local if r.audience is Audience.INTERNET)
    internet = relayed
    if machine.gateway:
        internet += "".join(text for name, text in shared.internet.items() if name != machine.name)
    visited = _lines((r.name, LOCAL) for r in local if r.audience is not Audience.LAN)
    texts = {"lan": lan, "visited": visited, "relayed": relayed, "internet": internet}
    return {name: text.encode() for name, text in texts.items()}


def _lines(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name} {target}\n" for name, target in sorted(pairs))


def relays(collective: Collective, offers: Offers, port: int) -> str:
    """A backend for each machine that answers names, reached at `port` over the mesh: HAProxy's own text."""
    return _relays_of(collective, offers)[port]


@once
def _relays_of(collective: Collective, offers: Offers) -> dict[int, str]:
    found = {(backend(r), r.machine, r.passthrough) for r in offers.all(Route) if r.machine in collective.keys}
    servers = [
        (name, collective.mesh_address(collective.machines[machine]), passthrough)
        for name, machine, passthrough in sorted(found)
    ]
    return {port: fill(__package__, "relays.cfg", servers=servers, port=port).decode() for port in (RELAYED, VISITED)}
