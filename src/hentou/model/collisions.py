"""Two things under one name, address, port, account or key."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from hentou.errors import Problem
from hentou.model import derive
from hentou.model.draft import ROSTER, Draft
from hentou.model.types import Site
from hentou.model.yaml import Document, Path


class _Claim(NamedTuple):
    """Somebody's claim to something that only one may have."""

    to: Hashable
    by: str
    document: Document
    path: Path

    def place(self) -> str:
        """Where it is written, for the message about the other one."""
        line = self.document.key(self.path, "").line
        return f"{self.document.file}:{line}"


def _twice(claims: Iterable[_Claim]) -> Iterator[tuple[_Claim, _Claim]]:
    """Each claim to what another one has claimed before, with that first one."""
    first: dict[Hashable, _Claim] = {}
    for claim in claims:
        holder = first.setdefault(claim.to, claim)
        if holder is not claim:
            yield holder, claim


def machine_names(draft: Draft) -> Iterator[Problem]:
    """One machine's name at two sites."""
    for name, sites in draft.machine_sites.items():
        for site in sites[1:]:
            yield draft.site_documents[site].key(
                ("machines", name),
                f"a machine called {name} stands at {sites[0]} too",
                "rename one: a machine's name is unique in the whole collective",
            )


def host_names(draft: Draft) -> Iterator[Problem]:
    """Two of a site's machines, services and external names under one host name."""
    for document, site in draft.each_site():
        for holder, claim in _twice(_host_names(document, site)):
            message = f"{claim.by} and {holder.by} ({holder.place()}) have one name, {claim.to}"
            hint = "give the service another `name`" if "service" in claim.by else "rename one of the two"
            yield document.key(claim.path, message, hint)


def _host_names(document: Document, site: Site) -> Iterator[_Claim]:
    for machine in site.machines.values():
        yield _Claim(machine.name, f"machine {machine.name}", document, ("machines", machine.name))
    for machine in site.machines.values():
        for index, name in enumerate(machine.external.names if machine.external else ()):
            place = ("machines", machine.name, "external", "names", str(index))
            yield _Claim(name, f"external machine {machine.name}", document, place)
    for service in site.services.values():
        path = ("services", service.key, "name") if service.name else ("services", service.key)
        yield _Claim(service.label, f"service {service.key}", document, path)


def mesh_addresses(draft: Draft) -> Iterator[Problem]:
    """Two machines whose addresses in the mesh are the same, and addresses that are reserved."""
    claims = []
    for document, machine in draft.each_machine():
        half = IPv6Address(f"::{machine.mesh_id or derive.mesh_id(machine.name)}")
        path: Path = ("machines", machine.name)
        if machine.mesh_id:
            path = (*path, "mesh_id")
        if int(half) == 0:
            yield document.value(path, "the address of the network itself", "write any other mesh_id")
        claims.append(_Claim(half, machine.name, document, path))
    for holder, claim in _twice(claims):
        if holder.by != claim.by:
            yield claim.document.key(
                claim.path,
                f"{claim.by} and {holder.by} ({holder.place()}) have one address in the mesh",
                f'set a mesh_id of its own for {claim.by}, such as mesh_id: "0:0:0:2"',
            )


def ports(draft: Draft) -> Iterator[Problem]:
    """Two services of one machine whose derived ports are the same."""
    claims = (
        _Claim((s.machine, derive.port(s.id)), s.key, document, ("services", s.key))
        for document, s in draft.each_service()
    )
    for holder, claim in _twice(claims):
        yield claim.document.key(
            claim.path,
            f"the ports derived from the names {claim.by} and {holder.by} are the same",
            f"rename {claim.by}; `name: {claim.by}` keeps its address",
        )


def accounts(draft: Draft) -> Iterator[Problem]:
    """People with an account whose derived user ids are the same, and those with the name of a system account."""
    claims = [_Claim(derive.uid(name), name, document, path) for name, document, path in _with_accounts(draft)]
    for holder, claim in _twice(claims):
        if holder.by != claim.by:
            message = f"the user ids derived from the names {claim.by} and {holder.by} are the same"
            yield claim.document.key(claim.path, message, f"rename {claim.by}, also in people/")
    for claim in claims:
        if claim.by in SYSTEM_ACCOUNTS:
            message = f"{claim.by} is an account of the system"
            yield claim.document.key(claim.path, message, "use the person's own name")


def _with_accounts(draft: Draft) -> Iterator[tuple[str, Document, Path]]:
    """Admins, and référents with a key, with where their keys are written."""
    admins = draft.roster.admins if draft.roster else {}
    for admin in admins:
        yield admin, draft.documents[ROSTER], ("admins", admin)
    for name, person in draft.people.items():
        if person.ssh and name not in admins:
            yield name, draft.documents[f"people/{name}.yaml"], ("ssh",)


SYSTEM_ACCOUNTS = frozenset(
    """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody sshd
    messagebus systemd-network systemd-resolve systemd-timesync haproxy knot unbound git adm sudo users
    nogroup staff operator src shadow tape video audio plugdev hentou
    """.split()  # noqa: SIM905 - forty quotes and commas would hide the names
)
"""Accounts and groups of Debian and of what hentou installs."""


def ssh_keys(draft: Draft) -> Iterator[Problem]:
    """One SSH key under two people, who would then count as two signers; and a key written twice."""
    for holder, claim in _twice(_ssh_keys(draft)):
        # An admin's own key may let them in as a référent elsewhere.
        if holder.by == claim.by and holder.document is not claim.document:
            continue
        owner = "twice under one person" if holder.by == claim.by else f"also that of {holder.by}"
        line = holder.document.value(holder.path, "").line
        where = f"on line {line}" if holder.document is claim.document else f"in {holder.document.file}:{line}"
        yield claim.document.value(claim.path, f"this key is {owner}, {where}", "each person has their own key")


def _ssh_keys(draft: Draft) -> Iterator[_Claim]:
    for admin, keys in (draft.roster.admins if draft.roster else {}).items():
        for index, key in enumerate(keys):
            yield _Claim(tuple(key.split()[:2]), admin, draft.documents[ROSTER], ("admins", admin, str(index)))
    for name, person in draft.people.items():
        for index, key in enumerate(person.ssh):
            yield _Claim(tuple(key.split()[:2]), name, draft.documents[f"people/{name}.yaml"], ("ssh", str(index)))


def machine_keys(draft: Draft) -> Iterator[Problem]:
    """One key for two machines: a disk that was copied."""
    claims = []
    for name, keys in draft.keys.items():
        document = draft.documents[f"keys/{name}.yaml"]
        claims.append(_Claim(keys.wireguard, name, document, ("wireguard",)))
        if keys.ssh_host:
            claims.append(_Claim(tuple(keys.ssh_host.split()[:2]), name, document, ("ssh_host",)))
        if keys.journal:
            claims.append(_Claim(tuple(keys.journal.split()[:2]), name, document, ("journal",)))
        if keys.age:
            claims.append(_Claim(keys.age, name, document, ("age",)))
    for holder, claim in _twice(claims):
        yield claim.document.value(
            claim.path,
            f"this key is also that of {holder.by}: was its disk copied?",
            f"make new keys on {claim.by} and enrol it again",
        )


def addresses(draft: Draft) -> Iterator[Problem]:
    """Two machines with one address on a LAN or on the Internet."""
    claims = []
    for document, machine in draft.each_machine():
        if machine.address:
            to: tuple[str, IPv4Address | IPv6Address] = (machine.site, machine.address)
            claims.append(_Claim(to, machine.name, document, ("machines", machine.name, "address")))
        for key in ("ipv4", "ipv6"):
            public = getattr(machine.public, key, None)
            if public:
                path = ("machines", machine.name, "public", key)
                claims.append(_Claim(("", public), machine.name, document, path))
    for holder, claim in _twice(claims):
        yield claim.document.value(
            claim.path, f"{holder.by} ({holder.place()}) has this address too", "give each its own"
        )


RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    machine_names, host_names, mesh_addresses, ports, accounts, ssh_keys, machine_keys, addresses,
)  # fmt: skip
