"""The lab's cables and boxes, made real in network namespaces. Everything bears the lab's name."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from hentou.effects import containers, namespaces
from hentou.errors import HentouError
from hentou.lab import daemons
from hentou.lab.topology import INET, INTERNET_ROUTER, VISITOR, Box, Cable, Computer, Laptop, Topology

PREFIX = "hentou"
MARK = "HENTOU_LAB"
"""Environment variable of every process that a lab starts on the host; its value is the lab's name."""

_BRIDGE = "br0"


def scope(lab: str) -> str:
    """How the names of all kernel resources of a lab begin. No lab's name holds a dot."""
    return f"{PREFIX}.{lab}."


class Network:
    """The namespaces of one lab. `state` is a directory for daemons' files."""

    def __init__(self, lab: str, topology: Topology, state: Path) -> None:
        self.lab = lab
        self.topology = topology
        self.state = state
        self._servers = {c.cable.port: c for c in topology.computers if c.router}

    def namespace(self, node: str) -> str:
        """The name of a node's network namespace on this host."""
        return scope(self.lab) + node

    def directory(self, node: str) -> Path:
        """Where the files of a node's daemons and its resolv.conf are."""
        return self.state / node

    def build(self) -> None:
        """Make every node but the machines, and start the daemons."""
        for node in self.topology.nodes:
            namespaces.create(self.namespace(node))
        self._internet()
        for place in self.topology.places:
            namespaces.links(
                self.namespace(place.switch), [f"link add {_BRIDGE} type bridge", f"link set {_BRIDGE} up"]
            )
        self._visitor()
        for place in self.topology.places:
            for index, box in enumerate(place.boxes):
                self._box(box, serves=index == 0)
            self._laptop(place.laptop)

    def wire(self, computer: Computer) -> None:
        """Plug a machine in, with the blank network of one that was just switched on."""
        node = self.namespace(computer.node)
        self.unplug(computer)
        namespaces.delete(node)
        namespaces.create(node)
        self._plug(computer.cable)

    def unplug(self, computer: Computer) -> None:
        """Take a machine that is off from the network, where its kernel would still answer."""
        hub = self.namespace(computer.cable.hub)
        if self._is_plugged(computer.cable):
            namespaces.links(hub, [f"link del {computer.cable.port}"])

    def cut(self, cable: Cable) -> None:
        """Cut a cable; nothing happens when it is cut already."""
        self._scissors(cable).parent.mkdir(parents=True, exist_ok=True)
        self._scissors(cable).touch()
        if self._is_plugged(cable):
            namespaces.links(self.namespace(cable.hub), [f"link set {cable.port} down"])

    def heal(self, cable: Cable) -> None:
        """Mend a cable; nothing happens when it is whole."""
        self._scissors(cable).unlink(missing_ok=True)
        if self._is_plugged(cable):
            self._switch_on(cable)

    def is_cut(self, cable: Cable) -> bool:
        """Whether somebody cut this cable."""
        return self._scissors(cable).exists()

    def _scissors(self, cable: Cable) -> Path:
        return self.state / "cut" / cable.port

    def _is_plugged(self, cable: Cable) -> bool:
        try:
            namespaces.links(self.namespace(cable.hub), [f"link show {cable.port}"])
        except HentouError:
            return False
        return True

    def _plug(self, cable: Cable) -> None:
        hub, node = self.namespace(cable.hub), self.namespace(cable.node)
        ends = f"name {cable.port} netns {hub} type veth peer name {cable.interface} netns {node}"
        namespaces.links(None, [f"link add {ends} address {cable.mac}"])
        namespaces.wire_size(hub, cable.port)
        namespaces.wire_size(node, cable.interface)
        namespaces.rates(hub, _rate(cable.port, cable.down))
        namespaces.rates(node, _rate(cable.interface, cable.up))
        if cable.hub != INET:
            namespaces.links(hub, [f"link set {cable.port} master {_BRIDGE}"])
        if not self.is_cut(cable):
            self._switch_on(cable)

    def _switch_on(self, cable: Cable) -> None:
        """Bring the hub's end up; routes went with it when it was down, so they are set again."""
        lines = [f"link set {cable.port} up"]
        if cable.hub == INET:
            lines += [f"addr replace {INTERNET_ROUTER}/32 dev {cable.port}"]
            if server := self._servers.get(cable.port):
                lines += [f"addr replace {server.router}/24 dev {cable.port} noprefixroute"]
            lines += [f"route replace {self._address(cable)}/32 dev {cable.port}"]
        namespaces.links(self.namespace(cable.hub), lines)

    def _address(self, cable: Cable) -> IPv4Address:
        if cable.node == VISITOR:
            return self.topology.visitor
        if server := self._servers.get(cable.port):
            return server.address
        return next(box.wan for box in self.topology.boxes if box.line == cable)

    def _internet(self) -> None:
        node, state = self.namespace(INET), self._prepare(INET, [self.topology.resolver])
        # A server believes its /24 to be on its own wire: the router answers for the neighbours.
        namespaces.settings(node, {"net.ipv4.ip_forward": 1, "net.ipv4.conf.default.proxy_arp": 1})
        namespaces.links(node, [f"addr add {self.topology.resolver}/32 dev lo"])
        (state / "resolver.conf").write_text(daemons.isp_dnsmasq(self.topology))
        self._daemon(INET, ["dnsmasq", f"--conf-file={state}/resolver.conf"])
        self._providers(state)

    def _providers(self, state: Path) -> None:
        """DHCP for the machines that stand on the Internet; their cables come later."""
        if self._servers:
            text = daemons.provider_dnsmasq(self._servers.values(), self.topology.resolver, state)
            (state / "dnsmasq.conf").write_text(text)
            self._daemon(INET, ["dnsmasq", f"--conf-file={state}/dnsmasq.conf"])

    def _visitor(self) -> None:
        self._prepare(VISITOR, [self.topology.resolver])
        self._plug(self.topology.visitor_cable)
        namespaces.links(self.namespace(VISITOR), _on_internet("eth0", self.topology.visitor))

    def _box(self, box: Box, *, serves: bool) -> None:
        node, state = self.namespace(box.node), self._prepare(box.node, [self.topology.resolver])
        namespaces.settings(node, {"net.ipv4.ip_forward": 1})
        namespaces.rules(node, daemons.BOX_RULES)
        self._plug(box.line)
        self._plug(box.plug)
        inside = [f"addr add {box.lan} dev lan", "link set lan up"]
        namespaces.links(node, [*_on_internet("wan", box.wan), *inside])
        if serves:
            (state / "dnsmasq.conf").write_text(daemons.box_dnsmasq(box, self.topology, state))
            self._daemon(box.node, ["dnsmasq", f"--conf-file={state}/dnsmasq.conf"])

    def _laptop(self, laptop: Laptop) -> None:
        self._prepare(laptop.node, laptop.resolvers)
        self._plug(laptop.cable)
        route = [f"route add default via {laptop.router}"] if laptop.router else []
        lines = [f"addr add {laptop.address} dev eth0", "link set eth0 up", *route]
        namespaces.links(self.namespace(laptop.node), lines)

    def _prepare(self, node: str, resolvers: Iterable[IPv4Address]) -> Path:
        state = self.directory(node)
        state.mkdir(parents=True, exist_ok=True)
        (state / "resolv.conf").write_text(daemons.resolv_conf(resolvers))
        (state / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        (state / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
        return state

    def _daemon(self, node: str, command: list[str | Path]) -> None:
        inside = namespaces.inside(self.namespace(node), command)
        containers.daemon(inside, self.directory(node) / "log", {MARK: self.lab})


def _on_internet(interface: str, address: IPv4Address) -> list[str]:
    return [
        f"addr add {address}/32 dev {interface}",
        f"link set {interface} up",
        f"route add {INTERNET_ROUTER} dev {interface} src {address}",
        f"route add default via {INTERNET_ROUTER} dev {interface} src {address}",
    ]


def _rate(interface: str, rate: int) -> list[str]:
    """A token bucket that holds a hundredth of a second, and a queue of at most 300 ms."""
    if not rate:
        return []
    burst = max(rate // 800, 8192)
    return [f"qdisc replace dev {interface} root tbf rate {rate}bit burst {burst} latency 300ms"]
