"""Addresses, ports and ids from names, never from position: adding a site renumbers nobody."""

from __future__ import annotations

from hashlib import sha256

PORTS = range(20000, 30000)
"""Loopback ports of services; below the range the kernel hands out by itself (32768)."""

UIDS = range(20000, 50000)
"""User ids of admins' accounts and services; Debian leaves this part of 1000 to 59999 to the site."""


def _number(kind: str, name: str) -> int:
    return int.from_bytes(sha256(f"hentou {kind} {name}".encode()).digest()[:8])


def mesh_prefix(domain: str) -> str:
    """The /64 of a collective's mesh: a unique local prefix (RFC 4193), its 40 bits from the domain."""
    digits = f"{_number('mesh prefix', domain) >> 24:010x}"
    return f"fd{digits[:2]}:{digits[2:6]}:{digits[6:10]}:1"


def mesh_id(machine: str) -> str:
    """The lower 64 bits of a machine's mesh address, as four groups of hexadecimal digits."""
    digits = f"{_number('mesh id', machine):016x}"
    return ":".join(f"{int(digits[i : i + 4], 16):x}" for i in range(0, 16, 4))


def port(owner: str) -> int:
    """The loopback port of a service or feature on its machine."""
    return PORTS[_number("port", owner) % len(PORTS)]


def uid(account: str) -> int:
    """The user id of an account, the same on every machine."""
    return UIDS[_number("uid", account) % len(UIDS)]
