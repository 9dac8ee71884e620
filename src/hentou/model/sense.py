"""What is well written but cannot work: no admin, an address outside its LAN, more watts than agreed…"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from hentou.errors import Problem
from hentou.model.draft import COLLECTIVE, ROSTER, Draft
from hentou.model.types import Lan, Machine, Site
from hentou.model.yaml import Document

_NOT_PUBLIC: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
    )
)
"""Not reachable from the Internet. Ranges for documentation are left out: examples use them."""


def gateways(draft: Draft) -> Iterator[Problem]:
    """Gateways that nobody can reach or that are not ours, and public addresses that are not."""
    for document, machine in draft.each_machine():
        path = ("machines", machine.name)
        if machine.gateway and machine.public is None:
            yield document.key(
                (*path, "gateway"),
                f"{machine.name} is a gateway without a public address",
                "add `public: {ipv4: …}`, or remove `gateway`",
            )
        if machine.gateway and machine.external is not None:
            yield document.key(
                (*path, "gateway"),
                f"{machine.name} is external, so it cannot be a gateway",
                "remove `gateway`, or `external`",
            )
        if machine.public and any(machine.public.ipv4 in network for network in _NOT_PUBLIC):
            yield document.value(
                (*path, "public", "ipv4"),
                f"{machine.public.ipv4} cannot be reached from the Internet",
                "write the address that the Internet sees; one of the LAN belongs into `address`",
            )


def roster(draft: Draft) -> Iterator[Problem]:
    """A roster by which nothing could ever be signed."""
    if draft.roster is None:
        return
    document, admins = draft.documents[ROSTER], draft.roster.admins
    if not admins:
        hint = "add your name and the line of ~/.ssh/id_ed25519.pub under `admins`"
        yield document.key(("admins",), "nobody is in the roster, so nothing could be signed", hint)
    for admin, keys in admins.items():
        if not keys:
            hint = "add the line of their ~/.ssh/id_ed25519.pub"
            yield document.key(("admins", admin), f"{admin} has no key", hint)
    if admins and draft.roster.threshold > len(admins):
        count = f"{len(admins)} admin" + ("s" if len(admins) > 1 else "")
        yield document.value(
            ("threshold",),
            f"{draft.roster.threshold} people must sign, but there is {count}"
            if len(admins) == 1
            else f"{draft.roster.threshold} people must sign, but there are {count}",
            f"lower it to {len(admins)} or less, or add people",
        )
    elif admins and draft.roster.root > len(admins):
        message = f"{draft.roster.root} people must sign a change of the roster, but there are {len(admins)}"
        yield document.value(("root_threshold",), message, f"lower it to {len(admins)} or less, or add people")
    if draft.roster.root < draft.roster.threshold:
        # Fewer people could lower the threshold, so that it would protect from nobody.
        message = f"fewer people than the {draft.roster.threshold} who must sign any change"
        yield document.value(("root_threshold",), message, f"raise it to {draft.roster.threshold} or more")


def waves(draft: Draft) -> Iterator[Problem]:
    """Canary sites that prove nothing, and a patience that ends before anything can have been proved."""
    if draft.spec is None:
        return
    document, policies = draft.documents[COLLECTIVE], draft.spec.policies
    for index, name in enumerate(policies.canaries):
        site = draft.sites.get(name)
        if name in policies.canaries[:index]:
            yield document.value(
                ("policies", "canaries", str(index)), f"{name} is written twice", "remove one of the two"
            )
        elif site is not None and all(machine.external for machine in site.machines.values()):
            yield document.value(
                ("policies", "canaries", str(index)),
                f"{name} has no machine that hentou manages, so nothing would ever prove healthy there",
                "choose another site, or describe its machine",
            )
    if policies.canaries and policies.patience < policies.soak:
        yield document.value(
            ("policies", "patience") if "patience" in document.mapping("policies") else ("policies", "soak"),
            "patience ends before a change can have been healthy for long enough at a canary site",
            "write a patience that is longer than soak, such as 1d",
        )


def poll(draft: Draft) -> Iterator[Problem]:
    """Machines that would ask their peers all the time, or as good as never."""
    if draft.spec is not None and not 5 <= draft.spec.policies.poll <= 86400:
        hint = "write something from 5s to 1d, such as 60s"
        message = "machines would ask each other all the time, or as good as never"
        yield draft.documents[COLLECTIVE].value(("policies", "poll"), message, hint)


def lan_addresses(draft: Draft) -> Iterator[Problem]:
    """Machines whose address their LAN does not have, or which is a box's."""
    for document, site in draft.each_site():
        boxes = _boxes(site)
        for machine in site.machines.values():
            if machine.address and (fault := _fault(machine.address, site.lan, boxes)):
                yield document.value(("machines", machine.name, "address"), *fault)


def _fault(address: IPv4Address, lan: Lan | None, boxes: Mapping[IPv4Address, str]) -> tuple[str, str] | None:
    free = "choose a free address of the LAN, outside the box's DHCP range"
    if lan is None:
        return "an address of a LAN, but this site describes none", "add `lan: {subnet: …}`, or remove it"
    if address not in lan.subnet:
        return f"{address} is not in the LAN, {lan.subnet}", free
    if address in (lan.subnet.network_address, lan.subnet.broadcast_address):
        what = "of the network itself" if address == lan.subnet.network_address else "for broadcasts"
        return f"{address} is the address {what}", free
    if address in boxes:
        return f"{address} is the address of the box of uplink {boxes[address]}", free
    return None


def _boxes(site: Site) -> dict[IPv4Address, str]:
    """The boxes' addresses on the LAN, with the first uplink behind each."""
    boxes: dict[IPv4Address, str] = {}
    for uplink in site.uplinks.values():
        address = uplink.box or _first_host(site.lan)
        if address:
            boxes.setdefault(address, uplink.name)
    return boxes


def _first_host(lan: Lan | None) -> IPv4Address | None:
    return next(lan.subnet.hosts(), None) if lan else None


def boxes(draft: Draft) -> Iterator[Problem]:
    """Boxes outside their LAN, and two that would have one address because neither gives its own."""
    for document, site in draft.each_site():
        if site.lan is None:
            for uplink in site.uplinks.values():
                if uplink.box:
                    yield document.value(
                        ("uplinks", uplink.name, "box"),
                        "the address of a box on a LAN, but this site describes none",
                        "add `lan: {subnet: …}`, or remove it",
                    )
            continue
        yield from _boxes_on(document, site, site.lan)


def _boxes_on(document: Document, site: Site, lan: Lan) -> Iterator[Problem]:
    first: dict[IPv4Address, str] = {}
    for uplink in site.uplinks.values():
        address = uplink.box or _first_host(lan)
        if uplink.box and uplink.box not in lan.subnet:
            yield document.value(
                ("uplinks", uplink.name, "box"),
                f"{uplink.box} is not in the LAN, {lan.subnet}",
                "write the box's address as seen from the LAN",
            )
        if address is None:
            continue
        other = first.setdefault(address, uplink.name)
        if other != uplink.name:
            yield document.key(
                ("uplinks", uplink.name),
                f"the boxes of {other} and {uplink.name} have one address, {address}",
                f"add `box:`, the address of the second box, to {uplink.name}",
            )


def subnets(draft: Draft) -> Iterator[Problem]:
    """LANs too small for a box and a machine."""
    for document, site in draft.each_site():
        if site.lan and site.lan.subnet.prefixlen > 30:
            message = f"{site.lan.subnet} has no room for a box and a machine"
            yield document.value(("lan", "subnet"), message, "write the whole network, such as 192.168.1.0/24")


def watts(draft: Draft) -> Iterator[Problem]:
    """Sites whose machines draw more than their host agreed to. Guests draw nothing of their own."""
    for document, site in draft.each_site():
        drawn = sum(machine.power or 0 for machine in site.machines.values() if _draws(machine))
        if site.power is not None and drawn > site.power:
            yield document.value(
                ("power",),
                f"the machines draw {drawn:g} W, and the host agreed to {site.power:g} W",
                "agree on more with the host, or move a machine",
            )


def _draws(machine: Machine) -> bool:
    return machine.guest_of is None


RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    gateways,
    roster,
    waves,
    poll,
    lan_addresses,
    boxes,
    subnets,
    watts,
)
