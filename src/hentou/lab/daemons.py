"""Configuration of what the lab runs beside the machines: boxes' filters, DHCP, name servers. Text only."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from hentou.lab.topology import Box, Computer, Topology

BOX_RULES = """\
table ip box {
    chain translate {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan" masquerade
    }
    # What the box did not ask for is dropped, not refused: a port-restricted cone, as most boxes are.
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        iifname "wan" drop
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        iifname "wan" drop
        oifname "wan" tcp flags syn tcp option maxseg size set rt mtu
    }
}
"""

_DNSMASQ = """\
keep-in-foreground
user=root
pid-file=
no-hosts
no-resolv
"""
_DHCP = f"""\
{_DNSMASQ}no-ping
dhcp-authoritative
dhcp-rapid-commit
"""


def box_dnsmasq(box: Box, topology: Topology, state: Path) -> str:
    """The dnsmasq of a site's first box: DHCP for the machines it knows, and names asked of its operator."""
    net = box.lan.network
    leases = "".join(f"dhcp-host={lease.mac},{lease.address},{lease.name}\n" for lease in box.leases)
    return (
        f"{_DHCP}interface=lan\nexcept-interface=lo\nbind-interfaces\nserver={topology.resolver}\n"
        f"max-cache-ttl=5\ndhcp-leasefile={state}/leases\n"
        f"dhcp-range={net.network_address},static,{net.netmask},1h\n"
        f"dhcp-option=option:router,{box.lan.ip}\ndhcp-option=option:dns-server,{box.lan.ip}\n{leases}"
    )


def provider_dnsmasq(servers: Iterable[Computer], resolver: IPv4Address, state: Path) -> str:
    """The dnsmasq of the providers of servers: each gets its public address by DHCP."""
    lines = [
        _DHCP,
        "port=0\n",
        f"dhcp-leasefile={state}/leases\n",
        f"dhcp-option=option:dns-server,{resolver}\n",
    ]
    networks: set[IPv4Network] = set()
    for server in servers:
        tag = server.cable.port
        lines.append(f"interface={server.cable.port}\n")
        lines.append(f"dhcp-host={server.cable.mac},set:{tag},{server.address},{server.spec.name}\n")
        lines.append(f"dhcp-option=tag:{tag},option:router,{server.router}\n")
        networks.add(IPv4Network(f"{server.address}/24", strict=False))
    lines += [f"dhcp-range={net.network_address},static,{net.netmask},1h\n" for net in sorted(networks)]
    return "".join(lines)


def isp_dnsmasq(topology: Topology) -> str:
    """The resolver of the Internet provider: the collective's domain is asked of its gateways, nothing else is.

    Answers are kept for seconds only, so that a scenario sees a change at once.
    """
    asked = (f"server=/{topology.domain}/{address}@{topology.resolver}\n" for address in topology.servers)
    return (
        f"{_DNSMASQ}address=/#/\nmax-cache-ttl=5\nno-negcache\n"
        f"listen-address={topology.resolver}\nbind-interfaces\n{''.join(asked)}"
    )


def resolv_conf(resolvers: Iterable[IPv4Address]) -> str:
    """resolv.conf(5) of a node; a dead first server costs a second, not five."""
    return "".join(f"nameserver {address}\n" for address in resolvers) + "options timeout:1 attempts:2\n"
