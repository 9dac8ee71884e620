"""Which visitor is led where by the edge, and what it asks of the machine."""

from __future__ import annotations

import pytest
from feature_world import FILES, compiler, generation, text

MAPS = "/etc/haproxy/hentou"


def names(machine: str, kind: str) -> dict[str, str]:
    lines = text(generation(machine), f"{MAPS}/{kind}.map").splitlines()
    found = dict(line.split() for line in lines)
    assert len(found) == len(lines), "a name twice"
    return found


def test_gateway_hands_on_internet_names_only() -> None:
    assert names("east", "internet") == {
        "moor.coast.example": "relay-heather",
        "cloud.quay.coast.example": "pass-buoy",
    }
    assert names("east", "relayed") == {}


def test_site_takes_from_gateways_only_what_it_runs_for_the_internet() -> None:
    assert names("heather", "relayed") == {"moor.coast.example": "local"}


def test_other_sites_may_open_intranet_names_but_never_lan_names() -> None:
    assert names("heather", "visited") == {
        "moor.coast.example": "local",
        "carnet.moor.coast.example": "local",
    }
    assert names("anchor", "visited") == {}


def test_own_lan_may_open_everything_near_and_what_is_shared_elsewhere() -> None:
    assert names("anchor", "lan") == {
        "atelier.quay.coast.example": "local",
        "cloud.quay.coast.example": "pass-buoy",
        "carnet.moor.coast.example": "relay-heather",
        "moor.coast.example": "relay-heather",
    }


def test_external_machine_is_spoken_to_without_proxy_protocol() -> None:
    text_of = text(generation("east"), "/etc/haproxy/haproxy.cfg")
    _, _, rest = text_of.partition("backend pass-buoy\n")
    server = rest.splitlines()[0]
    assert server.endswith(":443")
    assert "send-proxy" not in server


@pytest.mark.parametrize(("machine", "port"), [("east", 8443), ("anchor", 8444)])
def test_relays_use_the_port_of_who_they_are(machine: str, port: int) -> None:
    _, _, rest = text(generation(machine), "/etc/haproxy/haproxy.cfg").partition("backend relay-heather\n")
    assert rest.splitlines()[0].endswith(f":{port} send-proxy-v2")


def test_machine_that_is_not_enrolled_is_not_relayed_to() -> None:
    made = generation("east", {"keys/heather.yaml": None})
    assert "heather" not in text(made, f"{MAPS}/internet.map")


def test_nginx_runs_only_where_tls_ends() -> None:
    assert "/etc/nginx/nginx.conf" not in generation("east").manifest.by_path
    assert [c.names for c in generation("heather").manifest.certificates] == [
        ("carnet.moor.coast.example",),
        ("moor.coast.example",),
    ]


def test_nginx_never_believes_a_visitors_own_headers() -> None:
    made = text(generation("heather"), "/etc/nginx/nginx.conf")
    assert made.count("proxy_set_header X-Forwarded-For $remote_addr;") == 2
    assert "proxy_add_x_forwarded_for" not in made


def test_hsts_can_be_left_out() -> None:
    changed = FILES["collective.yaml"] + "features: {edge: {hsts_days: 0}}\n"
    made = generation("heather", {"collective.yaml": changed})
    assert "Strict-Transport-Security" not in text(made, "/etc/nginx/nginx.conf")


def test_machines_of_others_say_nothing_of_visitors() -> None:
    external = str(compiler().collective.mesh_address(compiler().collective.machines["buoy"]))
    visited = text(generation("heather"), "/etc/haproxy/haproxy.cfg").partition("frontend visited")[2]
    assert f"reject if {{ src {external} }}" in visited.partition("backend")[0]
