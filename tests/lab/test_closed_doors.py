"""What is open is what is offered, and every unit we ship is confined."""

from __future__ import annotations

import json
import re

import pytest

from hentou import compose
from hentou.generation.offer import Port, Reach
from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab

pytestmark = pytest.mark.lab

EXPOSURE = 4.0
"""The most that `systemd-analyze security` may say of a unit that we ship."""


def offered(admin: Admin, machine: str, *reaches: Reach) -> set[int]:
    offers = compose.compiler(admin.load()).offers
    return {port.number for port in offers.on(Port, machine) if port.protocol == "tcp" and port.reach in reaches}


def open_ports(node, address: str) -> set[int]:  # type: ignore[no-untyped-def]
    """Every TCP port that accepts a connection at an address, by a scan of all 65,535."""
    scan = f"nmap -n -Pn -sS -p- --min-rate 4000 --max-retries 1 --open -oG - {address}"
    return {int(number) for number in re.findall(r"(\d+)/open/tcp", node.succeed(scan, timeout=180))}


def test_open_from_the_internet_is_what_is_offered(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    found = open_ports(lab.visitor, "203.0.113.10")
    assert found == offered(admin, "vps-1", Reach.INTERNET)


def test_a_box_lets_nothing_in(pilot: tuple[Lab, Admin]) -> None:
    lab, _ = pilot
    box = next(str(box.wan) for box in lab.topology.boxes if box.line.name == "kerminy/adsl")
    assert open_ports(lab.visitor, box) == set()


def test_open_from_the_lan_is_what_is_offered(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    found = open_ports(lab.laptop("kerminy"), "192.168.1.240")
    assert found == offered(admin, "kerminy-1", Reach.LAN, Reach.INTRANET, Reach.INTERNET)


def test_open_from_the_mesh_is_what_is_offered(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    collective = admin.load()
    address = collective.mesh_address(collective.machines["konkarlab-1"])
    listening = offered(admin, "konkarlab-1", *set(Reach) - {Reach.LOCAL, Reach.LAN})
    # A port for gateways must stay shut to another site's machine.
    for machine, reaches in (
        ("kerminy-1", (Reach.MESH, Reach.MACHINES, Reach.INTRANET, Reach.INTERNET)),
        ("vps-1", (Reach.MESH, Reach.MACHINES, Reach.INTRANET, Reach.INTERNET, Reach.GATEWAYS)),
    ):
        wanted = offered(admin, "konkarlab-1", *reaches)
        for port in listening:
            connect = f"timeout 3 bash -c '</dev/tcp/{address}/{port}'"
            status, _ = lab.machine(machine).execute(connect)
            assert (status == 0) == (port in wanted), f"{machine} → {port}: status {status}"


@pytest.mark.parametrize("name", ["kerminy-1", "vps-1"])
def test_every_unit_we_ship_is_confined(pilot: tuple[Lab, Admin], name: str) -> None:
    lab, _ = pilot
    machine = lab.machine(name)
    current = json.loads(machine.succeed("hentou status --json 2>/dev/null"))["current"]
    manifest = json.loads(machine.succeed(f"cat /var/lib/hentou/generations/{current}/manifest.json"))
    units = {unit["name"] for unit in manifest["units"] if unit["name"].endswith(".service")}
    units |= set(machine.succeed("cd /usr/lib/systemd/system && ls hentou-*.service").split())
    said = machine.succeed("systemd-analyze security --no-pager " + " ".join(sorted(units)))
    levels = re.findall(r"exposure level for (\S+): (\d+\.\d)", said)
    exposed = {unit: float(level) for unit, level in levels}
    assert set(exposed) == units
    excused = set(re.findall(r"^# exposure: (\S+)", machine.succeed("cat /etc/hentou/exposure"), re.M))
    assert {unit: figure for unit, figure in exposed.items() if figure > EXPOSURE and unit not in excused} == {}
