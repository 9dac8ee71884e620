"""An admin's working copy of the collective's repository, and what this laptop has accepted of it so far."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hentou import compose
from hentou.effects.disk import Disk
from hentou.effects.git import clean_environment, resolve
from hentou.effects.gitstore import GitStore
from hentou.effects.process import run
from hentou.effects.tree import GitTree
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.model.load import read_roster
from hentou.model.types import Collective
from hentou.trust.acceptance import Trust
from hentou.trust.roster import Roster

TRUST = "hentou/trust.json"
"""In the Git directory: what this laptop has accepted."""

WAYS = "hentou/ways.json"
"""In the Git directory: by which way each machine was last reached."""


@dataclass(frozen=True)
class WorkCopy:
    """A working copy, by its top directory."""

    directory: Path

    @cached_property
    def store(self) -> GitStore:
        """Its Git directory, which linked working copies share; HentouError when it is no repository's top."""
        found = self.git("rev-parse", "--path-format=absolute", "--git-common-dir", "--show-prefix", check=False)
        lines = found.splitlines()
        if not lines:
            raise HentouError(f"{self.directory} is not in a Git repository", "go to the collective's working copy")
        if len(lines) > 1 and lines[1]:
            raise HentouError(f"{self.directory} is inside a repository", "go to its top directory")
        return GitStore(Path(lines[0]))

    def git(self, *words: str, check: bool = True) -> str:
        """What git says of this working copy, as the person who works in it would ask; empty when it failed."""
        if not self.directory.is_dir():
            raise HentouError(f"{self.directory} is not a directory", "give the directory of a collective")
        done = run(["git", "-C", self.directory, *words], check=check, env=clean_environment())
        return done.stdout if not done.status else ""

    def setting(self, name: str) -> str:
        """A setting of Git's, such as `user.signingkey`; empty when it is not set."""
        return self.git("config", "--get", name, check=False).strip()

    def set(self, name: str, value: str) -> None:
        """Write a setting into this working copy's own configuration."""
        self.git("config", "--local", name, value)

    @property
    def head(self) -> str:
        """The commit that is checked out; HentouError when there is none yet."""
        return resolve(self.directory, "HEAD")

    @property
    def changes(self) -> tuple[str, ...]:
        """Paths that differ from HEAD or are not in it; empty for a clean working copy."""
        _ = self.store  # Outside a repository it says so in better words than git.
        listing = self.git("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all").split("\0")
        return tuple(entry[3:] for entry in listing if len(entry) > 3)

    def require_clean(self) -> None:
        """HentouError when something is not committed."""
        if changes := self.changes:
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise HentouError(
                f"not committed: {', '.join(changes[:3])}{more}", "commit it with `git commit`, or put it aside"
            )

    def collective(self, rev: str = "HEAD") -> Collective:
        """The collective at a revision; InvalidCollectiveError with all that is wrong in it."""
        return compose.load(GitTree(self.directory, rev))

    def roster_at(self, commit: str) -> Roster:
        """The roster at a commit; HentouError when it has none that can be read."""
        data = self.store.read(commit, "roster.yaml", 2**20)
        if data is None:
            raise HentouError(f"{commit[:12]} has no roster.yaml", "add one: docs/tutorial shows it")
        return Roster.of(read_roster(data))

    def file(self, name: str) -> str:
        """Where a file of ours is in the Git directory."""
        return str(self.store.path / name)

    def write(self, name: str, data: bytes) -> None:
        """Replace a file of ours in the Git directory, durably, readable by this account alone."""
        disk = Disk()
        disk.make_directory(str(Path(self.file(name)).parent))
        disk.replace(self.file(name), data, 0o600, os.getuid(), os.getgid())

    @property
    def trust(self) -> Trust | None:
        """What this laptop has accepted; None when it has accepted nothing yet."""
        data = Disk().read_or_none(self.file(TRUST))
        try:
            return Trust.parse(data) if data is not None else None
        except ValueError as error:
            raise HentouError(
                f"{self.file(TRUST)} cannot be read: {error}", "move it away; `hentou publish` asks the machines again"
            ) from error

    def keep(self, trust: Trust, tip: str = "") -> None:
        """Remember what is accepted, durably, and the commit `tip` of its statement as `refs/hentou/statements`."""
        if tip:
            self.store.update({statements.REF: tip})
        self.write(TRUST, trust.json)

    def proposals(self) -> Mapping[str, statements.Kept]:
        """Statements kept here that still miss signatures, by the person who made or signed them."""
        refs = self.store.refs(statements.PROPOSALS)
        return {ref.rpartition("/")[2]: statements.read(self.store, commit) for ref, commit in refs.items()}


def found(copy: WorkCopy) -> Trust:
    """Begin the history of a collective: a new repository id, at sequence 0, with HEAD's roster.

    What is already accepted here, or pinned on a machine, stays as it is; before that the roster follows HEAD.
    HentouError for a roster that cannot work.
    """
    before = copy.trust
    if before is not None and not founds(copy):
        return before
    trust = Trust(before.repository if before else secrets.token_hex(16), 0, "", "", founding_roster(copy))
    if trust != before:
        copy.keep(trust)
    return trust


def founds(copy: WorkCopy) -> bool:
    """Whether HEAD's roster decides alone: nothing was accepted yet, and no machine was pinned to another roster."""
    trust = copy.trust
    if trust is None:
        return True
    return not trust.sequence and not any(keys.journal for keys in copy.collective().keys.values())


def founding_roster(copy: WorkCopy) -> Roster:
    """HEAD's roster, to found a collective with; HentouError for one that cannot work."""
    roster = copy.roster_at(copy.head)
    if roster.fault:
        raise HentouError(f"a roster that cannot work: {roster.fault}", "correct roster.yaml and commit it")
    return roster
