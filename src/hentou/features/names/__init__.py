"""names: the same names on the LAN, in the mesh and on the Internet, answered with the nearest address."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from pydantic import Field

from hentou.features.names import records, zone
from hentou.generation.contract import View
from hentou.generation.fragment import Check, CheckKind, File, Fragment, OnChange, Symlink, Unit
from hentou.generation.offer import Offer, Offers, Port, Reach
from hentou.generation.shared import once
from hentou.generation.template import fill
from hentou.model.types import Collective, Pointer, Spec

_FOLDER = "/etc/unbound/hentou"
_DROP_IN = "/etc/systemd/system/{}.service.d/hentou.conf"


class Settings(Spec):
    """How names outside the collective are found."""

    forward_to: tuple[IPv4Address | IPv6Address, ...] = Field(
        (), description="Resolvers to ask instead of the root servers, where a box blocks port 53."
    )


def offer(view: View[Settings]) -> Iterable[Offer]:
    """DNS: for everybody on a gateway, which answers for the domain; for the LAN and the mesh elsewhere."""
    machine = view.machine
    if machine.external is not None:
        return
    reach, why = Reach.INTRANET, "resolver"
    if machine.gateway:
        reach, why = Reach.INTERNET, f"names of {view.collective.domain}"
    for protocol in ("tcp", "udp"):
        yield Port(machine.name, "names", protocol, 53, reach, why, (view.here,))


def render(view: View[Settings]) -> Fragment:
    """The resolver of every machine, and on gateways the zone of the domain."""
    public = view.machine.gateway and view.machine.public is not None
    here = (view.here,)
    units = [
        Unit("unbound.service", triggers=("/etc/unbound/unbound.conf.d/", f"{_FOLDER}/"), because=here),
    ]
    checks = [
        Check("names: resolver runs", CheckKind.UNIT, "unbound.service", here),
        Check("names: resolver answers", CheckKind.TCP, "127.0.0.1:53", here),
    ]
    if public:
        units.append(Unit("knot.service", OnChange.RELOAD, ("/etc/knot/",), because=here))
        checks.append(Check("names: zone is served", CheckKind.UNIT, "knot.service", here))
    return Fragment(
        by="names",
        # Debian's unbound takes the root's trust anchor from dns-root-data and fails without it.
        packages=("dns-root-data", "unbound", *(("knot",) if public else ())),
        files=(*_resolver(view), *(_authority(view) if public else ())),
        # /etc/resolv.conf is ours: Debian's helper has nobody to tell.
        symlinks=(Symlink("/etc/systemd/system/unbound-resolvconf.service", "/dev/null", here),),
        units=tuple(units),
        checks=tuple(checks),
    )


def _resolver(view: View[Settings]) -> Iterator[File]:
    collective, machine = view.collective, view.machine
    here = (view.here, Pointer("collective.yaml", ("domain",)))
    shared = records.elsewhere(collective, view.offers)
    lan = view.site.lan if machine.address else None
    yield File(
        "/etc/unbound/unbound.conf.d/hentou.conf",
        fill(
            __package__,
            "unbound.conf",
            domain=collective.domain,
            lan=lan.subnet if lan else "",
            address=machine.address if lan else "",
            mesh=f"{collective.mesh_prefix}::/64",
            mesh_address=collective.mesh_address(machine),
            views=records.views(collective, machine, view.offers),
            forward_to=view.settings.forward_to,
            folder=_FOLDER,
        ),
        because=here,
    )
    yield File(f"{_FOLDER}/elsewhere-mesh.conf", shared.mesh(view.site.name), because=here)
    if lan:
        yield File(f"{_FOLDER}/elsewhere-lan.conf", shared.lan(view.site.name, str(machine.address)), because=here)
    yield File("/etc/resolv.conf", fill(__package__, "resolv.conf"), because=here)
    drop_in = fill(__package__, "unbound.service.conf")
    yield File(_DROP_IN.format("unbound"), drop_in, because=here)


def _authority(view: View[Settings]) -> Iterator[File]:
    collective, public = view.collective, view.machine.public
    because = (view.here, Pointer("collective.yaml", ("domain",)))
    addresses = [str(address) for address in (public.ipv4, public.ipv6) if address] if public else []
    yield File(
        "/etc/knot/knot.conf",
        fill(__package__, "knot.conf", domain=collective.domain, addresses=addresses),
        0o640,
        group="knot",
        because=because,
    )
    yield File(f"/etc/knot/{collective.domain}.zone", _zone(collective, view.offers), because=because)
    yield File(_DROP_IN.format("knot"), fill(__package__, "knot.service.conf"), because=because)


@once
def _zone(collective: Collective, offers: Offers) -> bytes:
    return zone.text(collective, offers).encode()
