"""Look at the machine: everything a plan needs to know, and nothing is changed by looking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hentou.agent.certificates import ISSUER, standing
from hentou.agent.host import Host
from hentou.agent.names import fields
from hentou.generation.facts import AccountFact, Adopted, Facts, PathFact, UnitFact
from hentou.generation.generation import Manifest


def gather(
    host: Host,
    old: Manifest | None,
    new: Manifest,
    overwrite: frozenset[str] = frozenset(),
    coming: Mapping[str, bytes] | None = None,
) -> Facts:
    """What the machine is like where either generation has a say. `coming` are the new one's bytes by digest."""
    issuer = new.by_path.get(ISSUER)
    manifests = [manifest for manifest in (old, new) if manifest]
    adopted = host.store.state().adopted
    return Facts(
        packages=host.system.packages() if new.packages else frozenset(),
        paths=dict(_paths(host, manifests)),
        accounts=_accounts(host) if any(m.users for m in manifests) else {},
        units=_units(host, manifests),
        certificates=standing(host, new.certificates, (coming or {}).get(issuer.digest) if issuer else None),
        adopted={path: Adopted(item.edited, item.instead_of) for path, item in adopted.items()},
        overwrite=overwrite,
    )


def _paths(host: Host, manifests: list[Manifest]) -> Iterator[tuple[str, PathFact]]:
    owners = {int(row[2]): row[0] for row in fields(host.disk, "/etc/passwd")} or {0: "root"}
    groups = {int(row[2]): row[0] for row in fields(host.disk, "/etc/group")} or {0: "root"}
    paths = {entry.path for m in manifests for entry in m.entries}
    paths |= {item.path for m in manifests for item in m.directories}
    for path in paths:
        if fact := look(host, path, owners, groups):
            yield path, fact


def look(
    host: Host, path: str, owners: Mapping[int, str] | None = None, groups: Mapping[int, str] | None = None
) -> PathFact | None:
    """What stands at one path; None for nothing. A number that has no name is told as a number."""
    found = host.disk.stat(path)
    if found is None:
        return None
    if found.kind == "link":
        return PathFact("link", target=host.disk.readlink(path))
    owner = (owners or {}).get(found.uid, str(found.uid))
    group = (groups or {}).get(found.gid, str(found.gid))
    digest = host.disk.digest(path) if found.kind == "file" else ""
    return PathFact(found.kind, digest, found.mode, owner, group)


def _accounts(host: Host) -> dict[str, AccountFact]:
    expiry = {row[0]: row[7] for row in fields(host.disk, "/etc/shadow") if len(row) > 7}
    groups: dict[str, set[str]] = {}
    for row in fields(host.disk, "/etc/group"):
        for member in filter(None, row[3].split(",")):
            groups.setdefault(member, set()).add(row[0])
    return {
        row[0]: AccountFact(
            uid=int(row[2]),
            comment=row[4],
            home=row[5],
            shell=row[6],
            groups=frozenset(groups.get(row[0], ())),
            locked=expiry.get(row[0]) == "1",
        )
        for row in fields(host.disk, "/etc/passwd")
        if len(row) > 6
    }


def _units(host: Host, manifests: list[Manifest]) -> dict[str, UnitFact]:
    names = sorted({unit.name for m in manifests for unit in m.units})
    states = host.system.units(names)
    return {
        name: UnitFact(state.active, state.oneshot, state.stays, state.ran, state.spared)
        for name, state in states.items()
    }
