"""The lab's own verbs, on plain machines that nobody configures."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from hentou.errors import HentouError
from hentou.lab.lab import Lab, LabError, MachineFailed

pytestmark = pytest.mark.lab

SERVER = "203.0.113.20"
PING = f"ping -c1 -W1 {SERVER}"


@pytest.fixture
def lab(plain: Lab) -> Iterator[Lab]:
    """The plain lab, whole again after each test."""
    yield plain
    for cable in plain.status().cut:
        plain.heal(cable)
    for machine in plain.machines():
        machine.start()


def test_succeed_returns_what_was_printed(lab: Lab) -> None:
    assert lab.machine("home-1").succeed("hostname") == "home-1\n"
    assert lab.machine("home-1").succeed("echo $HOME; pwd; id -un") == "/root\n/\nroot\n"


def test_a_failure_tells_node_command_and_output(lab: Lab) -> None:
    with pytest.raises(MachineFailed) as caught:
        lab.machine("home-1").succeed("echo said; echo cried >&2; exit 3")
    assert caught.value.message == ("home-1: `echo said; echo cried >&2; exit 3` ended with status 3\nsaid\ncried")
    with pytest.raises(MachineFailed, match="succeeded, which it must not"):
        lab.visitor.fail("true")


def test_a_command_that_hangs_is_killed_inside(lab: Lab) -> None:
    begin = time.monotonic()
    assert lab.machine("home-1").execute("sleep 987", timeout=1).status == 124
    assert time.monotonic() - begin < 5
    lab.machine("home-1").wait_until_fails("pgrep -f 'sleep 98[7]'", 5)


def test_waiting_ends_at_its_time(lab: Lab) -> None:
    with pytest.raises(MachineFailed, match="did not succeed within 1 s"):
        lab.visitor.wait_until_succeeds("false", timeout=1)


def test_units_and_ports(lab: Lab) -> None:
    machine = lab.machine("rack-1")
    machine.wait_for_unit("systemd-networkd")
    machine.succeed("systemctl start nginx")
    machine.wait_for_open_port(80)
    lab.visitor.wait_for_open_port(80, SERVER)
    with pytest.raises(MachineFailed, match=r"found it inactive") as caught:
        machine.wait_for_unit("knot", timeout=0.5)
    assert "Knot DNS" in caught.value.output


def test_files_are_copied_in(lab: Lab) -> None:
    lab.machine("home-1").copy_in("crêpe\n".encode(), "/srv/new/file", 0o600)
    assert lab.machine("home-1").succeed("cat /srv/new/file; stat -c %a /srv/new/file") == "crêpe\n600\n"
    assert (lab.machine("home-1").root / "srv/new/file").read_text() == "crêpe\n"


def test_everybody_reaches_the_internet_and_nobody_reaches_in(lab: Lab) -> None:
    lab.laptop("home").wait_until_succeeds(PING)
    lab.machine("home-1").wait_until_succeeds(PING)
    lab.box("home", "adsl").succeed(PING)
    lab.visitor.succeed(PING)
    wan = lab.topology.boxes[0].wan
    lab.visitor.fail(f"ping -c1 -W1 {wan}")


def test_machines_got_the_addresses_of_the_plan(lab: Lab) -> None:
    for machine in lab.machines():
        machine.wait_until_succeeds(f"ip -4 -brief address show eth0 | grep -F ' {machine.computer.address}/'")
    assert "default via 192.168.7.1" in lab.machine("home-1").succeed("ip route")


def test_lines_are_as_slow_as_declared(lab: Lab) -> None:
    lab.machine("rack-1").succeed("systemctl start nginx && head -c 1500000 /dev/urandom >/var/www/html/big")
    lab.laptop("home").wait_for_open_port(80, SERVER)
    speed = lab.laptop("home").succeed(f"curl -fsS -o /dev/null -w '%{{speed_download}}' http://{SERVER}/big")
    assert 0.7 * 8e6 < float(speed) * 8 < 1.1 * 8e6


def test_a_laptop_resolves_as_its_site_does_and_nothing_resolves_beyond(lab: Lab) -> None:
    laptop = lab.laptop("home")
    first, second, _ = laptop.succeed("cat /etc/resolv.conf").splitlines()
    assert first == f"nameserver {lab.machine('home-1').computer.address}"
    assert second == "nameserver 192.168.7.1"
    assert "status: NXDOMAIN" in laptop.succeed("dig @192.168.7.1 debian.org")
    assert "status: NXDOMAIN" in lab.visitor.succeed("dig debian.org")


def test_the_isp_asks_the_gateway_for_the_domain(lab: Lab) -> None:
    knot = (
        "server:\n  listen: 203.0.113.20@53\n  rundir: /run/knot\ndatabase:\n  storage: /var/lib/knot\n"
        "template:\n  - id: default\n    storage: /var/lib/knot\n"
        "zone:\n  - domain: tiny.example\n    file: tiny.zone\n"
    )
    zone = "@ 60 SOA ns root 1 60 60 60 60\n@ 60 NS ns\nns 60 A 203.0.113.20\nwww 60 A 203.0.113.99\n"
    machine = lab.machine("rack-1")
    machine.copy_in(knot.encode(), "/etc/knot/knot.conf")
    machine.copy_in(zone.encode(), "/var/lib/knot/tiny.zone")
    machine.succeed("systemctl restart knot")
    lab.visitor.wait_until_succeeds("dig +short www.tiny.example | grep -Fx 203.0.113.99", 20)
    lab.laptop("home").wait_until_succeeds("dig +short @192.168.7.1 www.tiny.example | grep -Fx 203.0.113.99")


@pytest.mark.parametrize("cable", ["home/adsl", "home", "rack-1", "home/laptop"])
def test_a_cut_cable_carries_nothing_until_it_is_healed(lab: Lab, cable: str) -> None:
    laptop = lab.laptop("home")
    laptop.wait_until_succeeds(PING)
    lab.cut(cable)
    lab.cut(cable)
    laptop.fail(PING)
    assert lab.status().cut
    lab.heal(cable)
    laptop.wait_until_succeeds(PING)
    assert not lab.status().cut


def test_a_machine_cut_off_stays_so_when_it_restarts(lab: Lab) -> None:
    machine, laptop = lab.machine("home-1"), lab.laptop("home")
    lab.cut("home-1")
    machine.crash()
    machine.start()
    laptop.fail(f"ping -c1 -W1 {machine.computer.address}")
    lab.heal("home-1")
    laptop.wait_until_succeeds(f"ping -c1 -W1 {machine.computer.address}")


def test_a_power_cut_loses_memory_and_keeps_the_disk(lab: Lab) -> None:
    machine = lab.machine("home-1")
    machine.succeed("touch /root/kept /run/lost /tmp/lost; ip link add lost type dummy; sync")
    identity = machine.succeed("cat /etc/machine-id")
    machine.crash()
    assert not machine.on
    lab.laptop("home").fail(f"ping -c1 -W1 {machine.computer.address}")
    with pytest.raises(LabError, match="home-1 is off"):
        machine.succeed("true")
    machine.start()
    machine.start()
    machine.succeed("test -e /root/kept -a ! -e /run/lost -a ! -e /tmp/lost; ! ip link show lost")
    assert machine.succeed("cat /etc/machine-id") == identity
    lab.laptop("home").wait_until_succeeds(f"ping -c1 -W1 {machine.computer.address}")


def test_shutting_down_stops_services_in_order(lab: Lab) -> None:
    machine = lab.machine("home-1")
    machine.succeed("systemd-run --unit farewell -p ExecStop='/bin/touch /root/stopped' sleep infinity")
    machine.shutdown()
    assert not machine.on
    machine.start()
    machine.succeed("test -e /root/stopped")


def test_another_command_finds_the_lab(lab: Lab) -> None:
    found = Lab.attach(lab.name)
    assert found.machine("home-1").succeed("hostname") == "home-1\n"
    assert [(machine.name, machine.on) for machine in found.status().machines] == [
        ("home-1", True),
        ("rack-1", True),
    ]


def test_a_capture_holds_the_packets_as_on_the_wire(lab: Lab) -> None:
    machine = lab.machine("rack-1")
    machine.succeed("systemctl start nginx && seq 20000 >/var/www/html/seq")
    lab.visitor.wait_for_open_port(80, SERVER)
    with lab.capture("rack-1", "tcp port 80") as capture:
        lab.visitor.succeed(f"curl -fsS http://{SERVER}/seq?kenavo")
    assert b"GET /seq?kenavo" in capture.data
    assert len(capture.data) > 100_000
    assert _longest(capture.data) <= 1514 + 6, "the cooked header of `any` is 20 bytes, Ethernet's is 14"


def _longest(pcap: bytes) -> int:
    longest, at = 0, 24
    while at < len(pcap):
        size = int.from_bytes(pcap[at + 12 : at + 16], "little")
        longest, at = max(longest, size), at + 16 + int.from_bytes(pcap[at + 8 : at + 12], "little")
    return longest


def test_a_clock_is_moved_for_services_and_commands(lab: Lab) -> None:
    machine = lab.machine("home-1")
    now = int(machine.succeed("date +%s"))
    lab.clock("home-1", "+30d")
    month = 30 * 86400
    assert abs(int(machine.succeed("date +%s")) - now - month) < 60
    machine.succeed("systemd-run --wait --quiet -p StandardOutput=file:/root/date date +%s")
    assert abs(int(machine.succeed("cat /root/date")) - now - month) < 60
    assert machine.succeed("systemctl --failed --no-legend") == ""
    assert abs(int(Lab.attach(lab.name).machine("home-1").succeed("date +%s")) - now - month) < 60
    lab.clock("home-1", "+0")
    assert abs(int(machine.succeed("date +%s")) - now) < 60


def test_unknown_names_list_the_known_ones(lab: Lab) -> None:
    with pytest.raises(HentouError) as caught:
        lab.machine("home-2")
    assert (caught.value.message, caught.value.hint) == (
        "no machine home-2 in this lab",
        "there are: home-1, rack-1",
    )
    with pytest.raises(HentouError, match="no laptop at a site called rack"):
        lab.laptop("rack")


def test_no_service_of_a_package_starts_by_itself(lab: Lab) -> None:
    running = lab.machine("home-1").succeed("systemctl list-units --type service --state running --no-legend")
    names = set(re.findall(r"(\S+)\.service", running))
    assert names <= {"dbus", "systemd-journald", "systemd-networkd", "systemd-logind", "systemd-udevd"}
