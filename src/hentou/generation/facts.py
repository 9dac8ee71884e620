"""Facts: what a machine is like now, as far as a plan needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hentou.generation.fragment import Directory
from hentou.generation.generation import Entry, Manifest


@dataclass(frozen=True, slots=True)
class PathFact:
    """What stands at a path: `kind` is file, link, directory or other."""

    kind: str
    digest: str = ""
    mode: int = 0
    owner: str = "root"
    group: str = "root"
    target: str = ""


@dataclass(frozen=True, slots=True)
class AccountFact:
    """An account as /etc/passwd, /etc/group and /etc/shadow have it; `groups` without the primary one."""

    uid: int
    comment: str = ""
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    groups: frozenset[str] = frozenset()
    locked: bool = False


@dataclass(frozen=True, slots=True)
class UnitFact:
    """A unit's ActiveState; whether it is `oneshot`, `stays` active after it ended, `ran` since boot, and was
    `spared` by its own conditions, such as not to run in a container.
    """

    active: str = "active"
    oneshot: bool = False
    stays: bool = False
    ran: bool = True
    spared: bool = False

    @property
    def up(self) -> bool:
        """Whether there is nothing to start: running, a job that is done, or not meant to run here."""
        done = self.spared or (self.oneshot and not self.stays and self.ran)
        return self.running or (done and self.active == "inactive")

    @property
    def running(self) -> bool:
        """Whether systemd counts it as active now."""
        return self.active in ("active", "activating", "reloading", "refreshing")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A hand edit kept until the repository has it: its digest, and what each entry it stands for `says`.

    An empty word among the latter: it stays also where the generation no longer has such a file.
    """

    edited: str
    instead_of: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What a machine is like now, as far as a plan needs it. What is absent from a mapping is not there.

    `certificates` holds, by directory, what is wrong with the one found (empty: nothing). `overwrite` names
    the hand edits that may go.
    """

    packages: frozenset[str] = frozenset()
    paths: Mapping[str, PathFact] = field(default_factory=dict)
    accounts: Mapping[str, AccountFact] = field(default_factory=dict)
    units: Mapping[str, UnitFact] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    adopted: Mapping[str, Adopted] = field(default_factory=dict)
    overwrite: frozenset[str] = frozenset()

    @classmethod
    def assumed(cls, old: Manifest | None, new: Manifest) -> Facts:
        """Facts of a machine that nobody can ask: exactly its current generation, all of it running."""
        if old is None:
            return cls()
        names = {item.directory: item.names for item in old.certificates}
        found = {entry.path: as_fact(entry) for entry in old.entries}
        found |= {item.path: as_fact(item) for item in old.directories}
        return cls(
            packages=frozenset(old.packages),
            paths=found,
            accounts={u.name: AccountFact(u.uid, u.comment, u.home, u.shell, frozenset(u.groups)) for u in old.users},
            units={unit.name: UnitFact() for unit in old.units},
            certificates={
                item.directory: "" if set(names[item.directory]) == set(item.names) else "for other names"
                for item in new.certificates
                if item.directory in names
            },
        )


def as_fact(item: Entry | Directory) -> PathFact:
    """How an entry or directory looks once it is in place."""
    if isinstance(item, Directory):
        return PathFact("directory", "", item.mode, item.owner, item.group)
    if item.is_link:
        return PathFact("link", target=item.target)
    return PathFact("file", item.digest, item.mode, item.owner, item.group)
