"""What a collective looks like as cables and boxes: the plan of a lab, from the model alone.

```
        [ inet: routes, the ISP's resolver ]──[ visitor ]
            │ 8/0.8M      │ 4G           │ public address
        [box.SITE.adsl] [box.SITE.4g]  [m.gateway]
            └──────┬──────┘
               [lan.SITE]──[laptop.SITE]
                   └──[m.machine]…
```

Every name and address follows from the names in the collective, so that two labs of it are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from itertools import islice

from hentou.errors import HentouError
from hentou.model.types import Architecture, Collective, Machine, Site, Uplink

INET = "inet"
VISITOR = "visitor"
INTERNET_ROUTER = IPv4Address("100.64.0.1")
"""The Internet's end of every line (shared address space, RFC 6598: never a public address)."""

TEST_NETS = tuple(IPv4Network(net) for net in ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24"))
"""Networks for documentation (RFC 5737), from which the lab takes the addresses it makes up."""

_LARGEST = 4096
"""Addresses looked at on a site's network: more than any site has, however large its subnet."""


@dataclass(frozen=True, slots=True)
class Cable:
    """A cable that people can cut, plugged with `port` into `hub`: the Internet or a site's switch."""

    name: str
    hub: str
    port: str
    node: str
    interface: str
    mac: str
    down: int = 0
    """Bits per second from the hub; 0 is as fast as the host allows."""
    up: int = 0
    """Bits per second towards the hub."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a DHCP server hands out to one machine, always the same."""

    mac: str
    address: IPv4Address
    name: str


@dataclass(frozen=True, slots=True)
class Box:
    """An operator's box: translates addresses, lets nothing in; a site's first does DHCP and DNS."""

    node: str
    wan: IPv4Address
    lan: IPv4Interface
    line: Cable
    plug: Cable
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Laptop:
    """A member's computer at a site: it asks the site's first machine for names, then the box."""

    node: str
    address: IPv4Interface
    cable: Cable
    router: IPv4Address | None
    resolvers: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True)
class Computer:
    """One machine of the collective, with the address it gets by DHCP."""

    node: str
    spec: Machine
    address: IPv4Address
    cable: Cable
    router: IPv4Address | None = None
    """The provider's router, for a machine that stands on the Internet."""

    @property
    def simulated(self) -> bool:
        """Whether its processor is another than the lab's, so that only its programs are shown."""
        return self.spec.arch is not Architecture.AMD64


@dataclass(frozen=True, slots=True)
class Place:
    """One site with a network of its own."""

    name: str
    switch: str
    subnet: IPv4Network
    laptop: Laptop
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """All of a lab's nodes and cables."""

    domain: str
    resolver: IPv4Address
    visitor: IPv4Address
    visitor_cable: Cable
    servers: tuple[IPv4Address, ...]
    """Where the ISP's resolver asks for the collective's names: the gateways' public addresses."""
    places: tuple[Place, ...]
    computers: tuple[Computer, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Every box, by site and uplink."""
        return tuple(box for place in self.places for box in place.boxes)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every network namespace but those of machines, which come and go with their power."""
        found = [INET, VISITOR]
        for place in self.places:
            found += [place.switch, place.laptop.node, *(box.node for box in place.boxes)]
        return tuple(found)

    @property
    def cables(self) -> tuple[Cable, ...]:
        """Every cable."""
        found = [self.visitor_cable]
        for place in self.places:
            found += [place.laptop.cable, *(c for box in place.boxes for c in (box.line, box.plug))]
        return (*found, *(computer.cable for computer in self.computers))

    def named(self, name: str) -> tuple[Cable, ...]:
        """The cables people mean: `kerminy/adsl`, `kerminy/laptop`, `kerminy-1`, `visitor`.

        A site's own name means its lines to the Internet, all of them.
        """
        lines = {place.name: tuple(box.line for box in place.boxes) for place in self.places}
        found = tuple(cable for cable in self.cables if cable.name == name) or lines.get(name, ())
        if not found:
            names = ", ".join(sorted({cable.name for cable in self.cables} | lines.keys()))
            raise HentouError(f"no cable {name} in this lab", f"there are: {names}")
        return found


def topology(collective: Collective) -> Topology:
    """Plan the lab of a collective."""
    pool = _Pool(m.public.ipv4 for m in collective.machines.values() if m.public)
    resolver, visitor = pool.take("resolver"), pool.take("visitor")
    places: list[Place] = []
    computers: list[Computer] = []
    for _, site in sorted(collective.sites.items()):
        inside, outside = _split(site)
        computers += [_server(pool, site, machine) for machine in outside]
        if site.lan:
            place, members = _place(pool, site, inside)
            places.append(place)
            computers += members
    return Topology(
        domain=collective.domain,
        resolver=resolver,
        visitor=visitor,
        visitor_cable=_cable(VISITOR, INET, VISITOR),
        servers=tuple(m.public.ipv4 for m in collective.gateways if m.public),
        places=tuple(places),
        computers=tuple(sorted(computers, key=lambda computer: computer.spec.name)),
    )


class _Pool:
    """Public addresses that the lab makes up: derived from names, moved on when taken."""

    def __init__(self, taken: Iterable[IPv4Address]) -> None:
        self._taken = set(taken)
        self._hosts = [host for net in TEST_NETS for host in net.hosts()]

    def take(self, name: str) -> IPv4Address:
        """The address of a name."""
        return self._first_free(_probe(self._hosts, name), name)

    def router(self, address: IPv4Address) -> IPv4Address:
        """A free address in the /24 of a server, for its provider's router."""
        net = IPv4Network(f"{address}/24", strict=False)
        return self._first_free(reversed(list(net.hosts())), f"the router of {address}")

    def _first_free(self, hosts: Iterable[IPv4Address], name: str) -> IPv4Address:
        found = next((host for host in hosts if host not in self._taken), None)
        if found is None:
            raise HentouError(f"no public address left in the lab for {name}", "boot a smaller collective")
        self._taken.add(found)
        return found


def _probe(hosts: list[IPv4Address], name: str) -> Iterator[IPv4Address]:
    start = int.from_bytes(sha256(f"lab address {name}".encode()).digest()[:8]) % len(hosts)
    yield from hosts[start:]
    yield from hosts[:start]


def _split(site: Site) -> tuple[list[Machine], list[Machine]]:
    """A site's machines on its own network, and those that stand on the Internet."""
    machines = [machine for _, machine in sorted(site.machines.items())]
    inside = [m for m in machines if site.lan and m.public is None]
    return inside, [m for m in machines if m not in inside]


def _cable(name: str, hub: str, node: str, interface: str = "eth0", uplink: Uplink | None = None) -> Cable:
    digest = sha256(f"lab cable {hub} {node} {interface}".encode()).hexdigest()
    mac = ":".join(["02", *(digest[i : i + 2] for i in range(0, 10, 2))])
    rates = (uplink.down, uplink.up) if uplink else (0, 0)
    return Cable(name, hub, f"p{digest[:10]}", node, interface, mac, *rates)


def _server(pool: _Pool, site: Site, machine: Machine) -> Computer:
    address = machine.public.ipv4 if machine.public else pool.take(machine.name)
    node = f"m.{machine.name}"
    uplink = next((line for _, line in sorted(site.uplinks.items())), None)
    cable = _cable(machine.name, INET, node, uplink=uplink)
    return Computer(node, machine, address, cable, pool.router(address))


def _place(pool: _Pool, site: Site, machines: list[Machine]) -> tuple[Place, list[Computer]]:
    if site.lan is None:  # the caller has looked
        raise HentouError(f"site {site.name} has no lan", "report this as a bug")
    subnet, switch = site.lan.subnet, f"lan.{site.name}"
    boxes = _box_addresses(site, subnet)
    taken = {*boxes.values(), *(m.address for m in machines if m.address)}
    free = [host for host in islice(subnet.hosts(), _LARGEST) if host not in taken]
    computers = [_member(switch, machine, machine.address or _take(free, machine.name)) for machine in machines]
    leases = tuple(Lease(c.cable.mac, c.address, c.spec.name) for c in computers)
    routers = list(boxes.values())
    made = tuple(
        _box(pool, site, name, IPv4Interface(f"{address}/{subnet.prefixlen}"), leases if i == 0 else ())
        for i, (name, address) in enumerate(boxes.items())
    )
    laptop = Laptop(
        node=f"laptop.{site.name}",
        address=IPv4Interface(f"{_take(free, f'{site.name} laptop')}/{subnet.prefixlen}"),
        cable=_cable(f"{site.name}/laptop", switch, f"laptop.{site.name}"),
        router=routers[0] if routers else None,
        resolvers=tuple([c.address for c in computers if c.spec.external is None][:1] + routers[:1]),
    )
    return Place(site.name, switch, subnet, laptop, made), computers


def _box_addresses(site: Site, subnet: IPv4Network) -> dict[str, IPv4Address]:
    """Each uplink's box on the LAN: as declared, else the first host address that is free."""
    taken = {line.box for line in site.uplinks.values()} | {m.address for m in site.machines.values()}
    found: dict[str, IPv4Address] = {}
    for name, line in site.uplinks.items():
        found[name] = line.box or next(host for host in subnet.hosts() if host not in taken)
        taken.add(found[name])
    return found


def _take(free: list[IPv4Address], name: str) -> IPv4Address:
    if not free:
        raise HentouError(f"no address left on the network of {name}", "give the site a larger subnet")
    found = next(_probe(free, name))
    free.remove(found)
    return found


def _member(switch: str, machine: Machine, address: IPv4Address) -> Computer:
    node = f"m.{machine.name}"
    return Computer(node, machine, address, _cable(machine.name, switch, node))


def _box(pool: _Pool, site: Site, uplink: str, lan: IPv4Interface, leases: tuple[Lease, ...]) -> Box:
    node = f"box.{site.name}.{uplink}"
    line = _cable(f"{site.name}/{uplink}", INET, node, "wan", site.uplinks[uplink])
    plug = _cable(f"{site.name}/{uplink}/lan", f"lan.{site.name}", node, "lan")
    return Box(node, pool.take(f"{site.name} {uplink}"), lan, line, plug, leases)
