"""Where a name leads, asked from the machine itself, the mesh, the LAN and the Internet."""

from __future__ import annotations

import re

import pytest
from feature_world import compiler, generation, text

from hentou.features.names import zone

CONFIGURATION = "/etc/unbound/unbound.conf.d/hentou.conf"
FOLDER = "/etc/unbound/hentou"


def answers(machine: str, view: str, name: str) -> list[str]:
    """The records of a name in one view of one machine's resolver, includes followed."""
    made = generation(machine)
    match = re.search(rf'view:\n    name: "{view}"\n(.*?)(?=\nview:|\Z)', text(made, CONFIGURATION), re.S)
    assert match is not None, f"{machine} has no view {view}"
    whole = match[1]
    for included in re.findall(r'include: "([^"]+)"', whole):
        whole += text(made, included)
    return re.findall(rf'local-data: "{re.escape(name)}\. (\S+ \S+)"', whole)


def mesh(machine: str) -> str:
    collective = compiler().collective
    return f"AAAA {collective.mesh_address(collective.machines[machine])}"


def test_own_site_is_answered_with_the_lan_address_on_its_lan() -> None:
    assert answers("heather", "lan", "moor.coast.example") == ["A 192.168.1.10"]
    assert answers("heather", "lan", "carnet.moor.coast.example") == ["A 192.168.1.10"]
    assert answers("anchor", "lan", "atelier.quay.coast.example") == ["A 192.168.1.20"]


def test_intranet_name_of_another_site_leads_to_the_own_machine() -> None:
    assert answers("anchor", "lan", "carnet.moor.coast.example") == ["A 192.168.1.20"]


def test_internet_name_of_another_site_leads_to_every_gateway() -> None:
    expected = ["A 203.0.113.1", "AAAA 2001:db8::1", "A 203.0.113.2"]
    assert answers("anchor", "lan", "moor.coast.example") == expected


def test_mesh_is_answered_with_mesh_addresses() -> None:
    for view in ("self", "mesh"):
        assert answers("anchor", view, "moor.coast.example") == [mesh("heather")]
        assert answers("east", view, "cloud.quay.coast.example") == [mesh("buoy")]


def test_a_machine_finds_itself_without_any_network() -> None:
    assert answers("heather", "self", "moor.coast.example") == ["A 127.0.0.1", "AAAA ::1"]


@pytest.mark.parametrize(("machine", "view"), [("heather", "lan"), ("heather", "mesh"), ("east", "self")])
def test_lan_name_is_unknown_outside_its_lan(machine: str, view: str) -> None:
    assert answers(machine, view, "atelier.quay.coast.example") == []


def test_resolver_never_listens_on_a_public_address() -> None:
    listening = re.findall(r"^    interface: (\S+)", text(generation("east"), CONFIGURATION), re.M)
    assert listening == ["127.0.0.1", "::1", mesh("east").removeprefix("AAAA ")]


def test_machine_without_an_address_serves_no_lan() -> None:
    made = generation("gorse")
    assert 'name: "lan"' not in text(made, CONFIGURATION)
    assert f"{FOLDER}/elsewhere-lan.conf" not in made.manifest.by_path


def test_zone_holds_what_the_internet_may_know_and_nothing_else() -> None:
    served = text(generation("west"), "/etc/knot/coast.example.zone")
    names = {line.split()[0] for line in served.splitlines() if line[0] not in "$@"}
    assert names == {
        "east.rock.coast.example.",
        "west.rock.coast.example.",
        "moor.coast.example.",
        "cloud.quay.coast.example.",
    }
    assert "chief\\.admin.coast.example." in served


def test_gateways_serve_the_same_zone_and_sites_none() -> None:
    path = "/etc/knot/coast.example.zone"
    assert text(generation("east"), path) == text(generation("west"), path)
    assert path not in generation("heather").manifest.by_path


def test_serial_is_of_the_records_alone() -> None:
    assert zone.serial("a") == zone.serial("a")
    assert zone.serial("a") != zone.serial("b")
    assert 0 < zone.serial("a") < 2**32
