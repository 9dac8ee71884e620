"""edge: who may open which name from where; TLS is passed on unopened to the machine of the service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import Field

from hentou.features.edge import maps
from hentou.features.edge.maps import RELAYED, VISITED
from hentou.generation.contract import View
from hentou.generation.fragment import (
    Certificate,
    Check,
    CheckKind,
    File,
    Fragment,
    OnChange,
    Unit,
)
from hentou.generation.offer import Offer, Port, Reach, Route
from hentou.generation.template import fill
from hentou.model.types import Pointer, Spec

TLS = 443
_CERTIFICATES = "/var/lib/hentou/certificates"
_MAPS = "/etc/haproxy/hentou"
_DROP_IN = "/etc/systemd/system/{}.service.d/hentou.conf"
_SOCKET = "/run/nginx-hentou/tls.sock"


class Settings(Spec):
    """How the web is answered."""

    hsts_days: int = Field(
        180, ge=0, le=730, description="Days for which browsers remember that a name wants TLS; 0 for none."
    )
    connections: int = Field(2000, ge=100, le=100000, description="Most connections at a time.")


def offer(view: View[Settings]) -> Iterable[Offer]:
    """The web's two ports, the two by which machines hand visitors on, and the names of external machines."""
    machine = view.machine
    if machine.external is not None:
        yield from _external_routes(view)
        return
    web = Reach.INTERNET if machine.gateway else Reach.INTRANET
    for number, reach, why in (
        (80, web, "redirection to TLS"),
        (TLS, web, "web"),
        (RELAYED, Reach.GATEWAYS, "visitors relayed by gateways"),
        (VISITED, Reach.MESH, "visitors from other sites"),
    ):
        yield Port(machine.name, "edge", "tcp", number, reach, why, (view.here,))


def _external_routes(view: View[Settings]) -> Iterator[Offer]:
    machine, external = view.machine, view.machine.external
    if external is not None:
        because = (Pointer(view.here.file, (*view.here.keys, "external", "names")),)
        for label in external.names:
            name = f"{label}.{view.collective.site_domain(machine.site)}"
            yield Route(machine.name, "edge", name, external.audience, TLS, because, passthrough=True)


def render(view: View[Settings]) -> Fragment:
    """HAProxy on every machine; nginx, which ends TLS, where a service runs."""
    routes = [r for r in view.offers.on(Route, view.machine.name) if not r.passthrough]
    here = (view.here,)
    units = [Unit("haproxy.service", OnChange.RELOAD, ("/etc/haproxy/",), because=here)]
    checks = [
        Check("edge: HAProxy runs", CheckKind.UNIT, "haproxy.service", here),
        Check("edge: HAProxy answers", CheckKind.TCP, f"127.0.0.1:{TLS}", here),
    ]
    if routes:
        units.append(
            Unit(
                "nginx.service",
                OnChange.RELOAD,
                ("/etc/nginx/nginx.conf", "/etc/nginx/conf.d/"),
                because=here,
            )
        )
        checks.append(Check("edge: nginx runs", CheckKind.UNIT, "nginx.service", here))
        checks += [_tls_check(view, route) for route in routes]
    return Fragment(
        by="edge",
        packages=("haproxy", *(("curl", "nginx-light") if routes else ())),
        files=(*_haproxy(view), *(_nginx(view, routes) if routes else ())),
        units=tuple(units),
        certificates=tuple(
            Certificate(f"{_CERTIFICATES}/{r.name}", (r.name,), "www-data", "nginx.service", r.because) for r in routes
        ),
        checks=tuple(checks),
    )


def _tls_check(view: View[Settings], route: Route) -> Check:
    """The name through the whole machine, HAProxy and nginx; any HTTP answer will do."""
    keys = view.collective.keys.get(view.machine.name)
    trusted = view.collective.authority and keys and keys.certificate
    # Before its enrolment a machine can only sign its certificates itself.
    trust = "--cacert /etc/hentou/authority.pem" if trusted else "--insecure"
    command = (
        f"curl --silent --show-error --output /dev/null --max-time 5 {trust}"
        f" --resolve {route.name}:{TLS}:127.0.0.1 https://{route.name}{route.health_path}"
    )
    return Check(f"edge: {route.name} by TLS", CheckKind.COMMAND, command, route.because)


def _haproxy(view: View[Settings]) -> Iterator[File]:
    collective, machine = view.collective, view.machine
    here = (view.here,)
    lan = view.site.lan
    yield File(
        "/etc/haproxy/haproxy.cfg",
        fill(
            __package__,
            "haproxy.cfg",
            connections=view.settings.connections,
            lan=" ".join(("127.0.0.0/8", "::1", *((str(lan.subnet),) if lan else ()))),
            mesh=f"{collective.mesh_prefix}::/64",
            gateways=[str(collective.mesh_address(m)) for m in collective.gateways],
            externals=[str(collective.mesh_address(m)) for m in collective.machines.values() if m.external],
            relayed=RELAYED,
            visited=VISITED,
            maps=_MAPS,
            socket=_SOCKET,
            relays=maps.relays(collective, view.offers, RELAYED if machine.gateway else VISITED),
        ),
        because=here,
    )
    local = [r for r in view.offers.on(Route, machine.name) if not r.passthrough]
    because = here + tuple(pointer for route in local for pointer in route.because)
    for name, text in maps.all_maps(collective, machine, view.offers).items():
        yield File(f"{_MAPS}/{name}.map", text, because=because)
    yield File(_DROP_IN.format("haproxy"), fill(__package__, "haproxy.service.conf"), because=here)


def _nginx(view: View[Settings], routes: Iterable[Route]) -> Iterator[File]:
    routes = sorted(routes, key=lambda route: route.name)
    because = (view.here, *(pointer for route in routes for pointer in route.because))
    text = fill(
        __package__,
        "nginx.conf",
        routes=routes,
        certificates=_CERTIFICATES,
        socket=_SOCKET,
        hsts=view.settings.hsts_days * 86400,
    )
    yield File("/etc/nginx/nginx.conf", text, because=because)
    yield File(_DROP_IN.format("nginx"), fill(__package__, "nginx.service.conf"), because=because)
