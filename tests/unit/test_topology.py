"""The plan of a lab: who is plugged where, under which address, whatever the order of names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import pytest

from hentou.errors import HentouError
from hentou.lab import daemons
from hentou.lab.topology import TEST_NETS, Computer, Topology, topology
from hentou.model.types import Collective, CollectiveSpec, Roster, Site


class NoFiles:
    def files(self) -> Iterator[str]:
        return iter(())

    def read(self, path: str, limit: int | None = None) -> bytes:
        return b""[:limit] if path else b""


def collective(sites: Mapping[str, Mapping[str, Any]]) -> Collective:
    made = {name: Site.model_validate(_named(name, site)) for name, site in sites.items()}
    spec = CollectiveSpec(name="pilot", domain="pilot.example", contact="root@pilot.example")
    return Collective(spec, Roster(), {}, made, {}, None, NoFiles())


def _named(site: str, values: Mapping[str, Any]) -> dict[str, Any]:
    machines = {n: {"$name": n, "$site": site, **m} for n, m in values.get("machines", {}).items()}
    uplinks = {
        n: {"$name": n, "kind": "adsl", "down": "8M", "up": "800k", **line}
        for n, line in values.get("uplinks", {}).items()
    }
    return {**values, "$name": site, "machines": machines, "uplinks": uplinks}


PILOT: Mapping[str, Mapping[str, Any]] = {
    "kerminy": {
        "lan": {"subnet": "192.168.1.0/24"},
        "uplinks": {"adsl": {}, "mobile": {"kind": "4g", "down": "30M", "up": "10M"}},
        "machines": {"kerminy-1": {"address": "192.168.1.10"}},
    },
    "konkarlab": {
        "lan": {"subnet": "192.168.0.0/24"},
        "uplinks": {"adsl": {"box": "192.168.0.254"}},
        "machines": {
            "konkarlab-1": {"arch": "arm64"},
            "yunohost": {"external": {"kind": "yunohost"}},
        },
    },
    "vps": {
        "uplinks": {"port": {"kind": "datacentre", "down": "500M", "up": "400M"}},
        "machines": {"vps-1": {"public": {"ipv4": "203.0.113.10"}, "gateway": True}},
    },
}


@pytest.fixture
def plan() -> Topology:
    return topology(collective(PILOT))


def computer(plan: Topology, name: str) -> Computer:
    return next(found for found in plan.computers if found.spec.name == name)


def test_every_node_of_the_pilot_is_there(plan: Topology) -> None:
    assert set(plan.nodes) == {
        "inet", "visitor",
        "lan.kerminy", "laptop.kerminy", "box.kerminy.adsl", "box.kerminy.mobile",
        "lan.konkarlab", "laptop.konkarlab", "box.konkarlab.adsl",
    }  # fmt: skip
    assert [found.spec.name for found in plan.computers] == ["kerminy-1", "konkarlab-1", "vps-1", "yunohost"]


def test_machines_of_a_site_hang_on_its_switch_and_servers_on_the_internet(plan: Topology) -> None:
    assert computer(plan, "kerminy-1").cable.hub == "lan.kerminy"
    assert computer(plan, "vps-1").cable.hub == "inet"
    assert computer(plan, "vps-1").address == IPv4Address("203.0.113.10")
    assert computer(plan, "vps-1").router == IPv4Address("203.0.113.254")


def test_a_declared_address_is_kept_and_another_one_is_found(plan: Topology) -> None:
    assert computer(plan, "kerminy-1").address == IPv4Address("192.168.1.10")
    addresses = {found.address for found in plan.computers if found.spec.site == "konkarlab"}
    assert len(addresses) == 2
    assert all(address in plan.places[1].subnet for address in addresses)


def test_boxes_take_their_declared_address_or_the_first_free_one(plan: Topology) -> None:
    found = {box.node: box.lan for box in plan.boxes}
    assert found == {
        "box.kerminy.adsl": IPv4Interface("192.168.1.1/24"),
        "box.kerminy.mobile": IPv4Interface("192.168.1.2/24"),
        "box.konkarlab.adsl": IPv4Interface("192.168.0.254/24"),
    }


def test_only_the_first_box_of_a_site_hands_out_addresses(plan: Topology) -> None:
    leases = {box.node: [lease.name for lease in box.leases] for box in plan.boxes}
    assert leases["box.kerminy.adsl"] == ["kerminy-1"]
    assert leases["box.kerminy.mobile"] == []
    assert leases["box.konkarlab.adsl"] == ["konkarlab-1", "yunohost"]


def test_rates_of_a_line_hold_on_the_box_and_on_a_server(plan: Topology) -> None:
    lines = {cable.name: (cable.down, cable.up) for cable in plan.cables}
    assert lines["kerminy/adsl"] == (8_000_000, 800_000)
    assert lines["kerminy/mobile"] == (30_000_000, 10_000_000)
    assert lines["vps-1"] == (500_000_000, 400_000_000)
    assert lines["kerminy/laptop"] == (0, 0)


def test_addresses_that_the_lab_makes_up_are_for_documentation_and_nobody_elses(plan: Topology) -> None:
    made_up = [plan.resolver, plan.visitor, *(box.wan for box in plan.boxes)]
    assert len({*made_up, IPv4Address("203.0.113.10")}) == len(made_up) + 1
    assert all(any(address in net for net in TEST_NETS) for address in made_up)


def test_a_laptop_asks_the_sites_own_machine_first_and_never_an_external_one(plan: Topology) -> None:
    laptops = {place.name: place.laptop for place in plan.places}
    assert laptops["kerminy"].resolvers == (IPv4Address("192.168.1.10"), IPv4Address("192.168.1.1"))
    assert laptops["konkarlab"].resolvers[0] == computer(plan, "konkarlab-1").address
    assert laptops["konkarlab"].router == IPv4Address("192.168.0.254")


def test_another_architecture_is_simulated_and_known_as_such(plan: Topology) -> None:
    assert computer(plan, "konkarlab-1").simulated
    assert not computer(plan, "kerminy-1").simulated


def test_a_site_more_renumbers_nobody(plan: Topology) -> None:
    more = {"aven": {**PILOT["kerminy"], "machines": {"aven-1": {}}}, **PILOT}
    wider = topology(collective(more))
    assert {c for c in wider.computers if c.spec.site != "aven"} == set(plan.computers)
    assert {box.wan for box in plan.boxes} <= {box.wan for box in wider.boxes}


def test_ports_are_short_enough_for_the_kernel_and_all_different(plan: Topology) -> None:
    ports = [cable.port for cable in plan.cables]
    assert len(set(ports)) == len(ports)
    assert len({cable.mac for cable in plan.cables}) == len(ports)
    assert max(map(len, ports)) <= 15


def test_a_sites_name_means_all_its_lines(plan: Topology) -> None:
    assert [cable.name for cable in plan.named("kerminy")] == ["kerminy/adsl", "kerminy/mobile"]
    assert [cable.node for cable in plan.named("kerminy-1")] == ["m.kerminy-1"]


def test_an_unknown_cable_lists_those_there_are(plan: Topology) -> None:
    with pytest.raises(HentouError) as caught:
        plan.named("kerminy/fibre")
    assert caught.value.message == "no cable kerminy/fibre in this lab"
    assert "kerminy/adsl" in caught.value.hint


def test_a_server_without_a_public_address_gets_a_made_up_one() -> None:
    plan = topology(collective({"rack": {"machines": {"rack-1": {}}}}))
    assert any(plan.computers[0].address in net for net in TEST_NETS)


def test_a_network_too_small_for_its_machines_is_told() -> None:
    crowded = {"lan": {"subnet": "192.168.1.0/30"}, "machines": {f"m{i}": {} for i in range(3)}}
    with pytest.raises(HentouError, match="no address left on the network of"):
        topology(collective({"tiny": crowded}))


def test_a_huge_subnet_costs_no_more_than_a_small_one() -> None:
    plan = topology(collective({"wide": {"lan": {"subnet": "10.0.0.0/8"}, "machines": {"wide-1": {}}}}))
    assert plan.computers[0].address in plan.places[0].subnet


def test_the_isp_asks_the_gateways_for_the_domain_and_nobody_for_anything_else(plan: Topology) -> None:
    lines = daemons.isp_dnsmasq(plan).splitlines()
    assert "no-resolv" in lines
    assert [line for line in lines if line.startswith("server=")] == [
        f"server=/pilot.example/203.0.113.10@{plan.resolver}"
    ]


def test_providers_hand_each_server_its_own_address_and_router(plan: Topology) -> None:
    from pathlib import Path

    server = computer(plan, "vps-1")
    text = daemons.provider_dnsmasq([server], plan.resolver, Path("/state"))
    assert f"dhcp-host={server.cable.mac},set:{server.cable.port},203.0.113.10,vps-1\n" in text
    assert f"dhcp-option=tag:{server.cable.port},option:router,203.0.113.254\n" in text
    assert "dhcp-range=203.0.113.0,static,255.255.255.0,1h\n" in text
