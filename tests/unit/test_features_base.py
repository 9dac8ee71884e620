"""The firewall opens exactly what is offered, and base tells a machine who it is."""

from __future__ import annotations

import re

import pytest
from feature_world import compiler, generation, text

from hentou.generation.offer import Port, Reach

MACHINES = ("east", "west", "heather", "gorse", "anchor")


def opened(machine: str) -> set[tuple[str, int, str]]:
    """Protocol, port and kind of source of every opening in a machine's ruleset."""
    sources = {"@lan": "lan", "@mesh": "mesh", "@machines": "machines", "@gateways": "gateways"}
    found = set()
    for line in text(generation(machine), "/etc/nftables.conf").splitlines():
        if match := re.search(r"\b(tcp|udp) dport (\d+)", line):
            source = next((kind for mark, kind in sources.items() if mark in line), "anyone")
            found.add((match[1], int(match[2]), source))
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_open_ports_are_the_offered_ones(machine: str) -> None:
    made = compiler()
    has_lan = made.collective.site_of(made.collective.machines[machine]).lan is not None
    sources = {
        Reach.LOCAL: set(),
        Reach.LAN: {"lan"},
        Reach.MESH: {"mesh"},
        Reach.MACHINES: {"machines"},
        Reach.GATEWAYS: {"gateways"},
        Reach.INTRANET: {"lan", "mesh"},
        Reach.INTERNET: {"anyone"},
    }
    offered = {
        (port.protocol, port.number, source)
        for port in made.offers.on(Port, machine)
        for source in sources[port.reach]
        if source != "lan" or has_lan
    }
    assert opened(machine) == offered


def test_site_is_closed_to_the_internet() -> None:
    for machine in ("heather", "gorse", "anchor"):
        assert not [opening for opening in opened(machine) if opening[2] == "anyone"]


def machines_of(machine: str, changes: dict[str, str | None] | None = None) -> set[str]:
    """Whom a machine's ruleset takes for machines that follow the repository, by name."""
    collective = compiler(changes).collective
    names = {str(collective.mesh_address(m)): m.name for m in collective.machines.values()}
    rules = text(generation(machine, changes), "/etc/nftables.conf")
    block = rules.partition("set machines {")[2].partition("}\n    }")[0]
    return {names[address] for address in re.findall(r"fd[0-9a-f:]+", block)}


def test_machines_are_the_managed_and_enrolled_ones() -> None:
    assert machines_of("heather") == {"east", "west", "heather", "anchor"}
    assert machines_of("gorse") == machines_of("east") == machines_of("heather")


def test_machine_that_was_struck_out_is_let_in_by_nobody() -> None:
    assert machines_of("heather", {"keys/anchor.yaml": None}) == {"east", "west", "heather"}


def test_gateway_opens_ssh_names_web_and_mesh() -> None:
    assert {(protocol, port) for protocol, port, source in opened("east") if source == "anyone"} == {
        ("tcp", 22), ("tcp", 53), ("udp", 53), ("tcp", 80), ("tcp", 443), ("udp", 51820),
    }  # fmt: skip


def test_only_gateways_forward_and_only_within_the_mesh() -> None:
    for machine in MACHINES:
        rules = text(generation(machine), "/etc/nftables.conf").partition("chain forward")[2]
        accepting = [line for line in rules.splitlines() if " accept" in line]
        assert len(accepting) == (1 if machine in ("east", "west") else 0)
        assert all('iifname "hentou" oifname "hentou"' in line for line in accepting)
        forwards = "net.ipv6.conf.all.forwarding = 1" in text(generation(machine), "/etc/sysctl.d/70-hentou.conf")
        assert forwards == (machine in ("east", "west"))


def test_address_is_taken_beside_the_boxs() -> None:
    network = text(generation("heather"), "/etc/systemd/network/70-hentou.network")
    assert "DHCP=ipv4\nAddress=192.168.1.10/24\n" in network
    assert "/etc/systemd/network/70-hentou.network" not in generation("gorse").manifest.by_path


def test_mesh_addresses_are_believed_in_the_tunnel_only() -> None:
    for machine in MACHINES:
        rules = text(generation(machine), "/etc/nftables.conf")
        for line in ('iifname != "hentou" ip6 saddr @mesh', 'iifname != "hentou" ip6 daddr @mesh'):
            assert f"{line} counter drop" in rules
            assert rules.index('iifname "lo" accept') < rules.index(line) < rules.index("ct state vmap")
