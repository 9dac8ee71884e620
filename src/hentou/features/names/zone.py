"""The zone of the collective's domain, as its gateways serve it to the Internet."""

from __future__ import annotations

from hashlib import sha256

from hentou.features.names.records import public_records
from hentou.generation.offer import Offers, Route
from hentou.generation.template import fill
from hentou.model.types import Audience, Collective

TTL = 300
"""Seconds: a new gateway is found within five minutes."""


def text(collective: Collective, offers: Offers) -> str:
    """The zone file. Names of the Internet audience lead to all gateways; the rest stays unknown outside."""
    gateways = [m for m in collective.gateways if m.public]
    records = [f"@ NS {collective.machine_name(m)}." for m in gateways]
    for machine in gateways:
        records += public_records(collective.machine_name(machine), (machine,))
    names = sorted({r.name for r in offers.all(Route) if r.audience is Audience.INTERNET})
    for name in names:
        records += public_records(name, gateways)
    body = "".join(f"{record}\n" for record in records)
    return fill(
        __package__,
        "zone",
        domain=collective.domain,
        primary=collective.machine_name(gateways[0]),
        contact=_mailbox(collective.spec.contact, collective.domain),
        serial=serial(body),
        ttl=TTL,
        body=body,
    ).decode()


def serial(body: str) -> int:
    """The SOA's serial number (RFC 1035): 32 bits of the records' hash.

    A serial only orders the versions of a zone for secondaries that copy it. There are none: each gateway
    compiles the zone itself. A hash says all that is left to say: whether two gateways serve the same.
    """
    return int.from_bytes(sha256(body.encode()).digest()[:4]) or 1


def _mailbox(contact: str, domain: str) -> str:
    """An address as the SOA writes it: the first dot stands for @, and dots before it are escaped."""
    local, at, host = contact.partition("@")
    if not at or not local or not host or any(c.isspace() for c in contact):
        local, host = "hostmaster", domain
    return f"{local.replace('.', chr(92) + '.')}.{host}."
