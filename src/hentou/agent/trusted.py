"""A machine's trust state: whom and what it has accepted, and the repository that holds no more than that.

/var/lib/hentou/trust.json   `Trust.json`, root, 0600, replaced as a whole with fsync: the one commit point
/var/lib/hentou/repo.git     refs/heads/main = accepted head, refs/hentou/statements = its statement; both follow
                             trust.json, and are put right from it after a power cut
/var/lib/hentou/sync.lock    held while a sync (or `hentou converge`) takes something in

`refs/hentou/accepted` names the statement that is about to be accepted, or was last: `repair` finds it there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from hentou.agent.host import Host
from hentou.agent.local import REPOSITORY
from hentou.agent.store import BASE
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import RefusedError, Trust

TRUST = f"{BASE}/trust.json"
LOCK = f"{BASE}/sync.lock"
MAIN = "refs/heads/main"
STATEMENTS = statements.REF
ACCEPTED = "refs/hentou/accepted"
FETCHED = "refs/hentou/fetched"

MOVE_SECONDS = 900.0
MOVE_SIZE = 2**30
"""Bytes of one pack between two repositories of this machine; what comes from outside has lower limits."""

SETTINGS = {
    "uploadpack.allowReachableSHA1InWant": "true",
    "transfer.hideRefs": FETCHED,
    "gc.autoDetach": "false",
}


class NotPinnedError(HentouError):
    """A machine that was told of no collective yet: it accepts nothing."""

    def __init__(self) -> None:
        super().__init__(
            "this machine is not pinned: it follows nobody yet",
            "pin it with `hentou adopt ssh://HOST` from an admin's laptop, or activate a copy with --repo PATH",
        )


def nothing() -> None:
    """Where no drill stops."""


class TrustStore:
    """The trust state of one machine. `point` is called between the steps of an acceptance, for drills.

    `trust` may be asked at any time; all that changes something is for the holder of `lock`.
    """

    def __init__(self, host: Host, point: Callable[[], None] = nothing) -> None:
        self.host = host
        self.disk = host.disk
        self.point = point
        self.repo = GitStore(Path(self.disk.at(REPOSITORY)))

    def trust(self) -> Trust | None:
        """What is trusted; None on a machine that is not pinned. HentouError when the file is damaged."""
        data = self.disk.read_or_none(TRUST)
        if data is None:
            return None
        try:
            return Trust.parse(data)
        except ValueError as error:
            hint = f"move it away and pin this machine again: `hentou pin` (it is {TRUST})"
            raise HentouError(f"{TRUST} cannot be read: {error}", hint) from error

    def pinned(self) -> Trust:
        """What is trusted; NotPinnedError on a machine that is not pinned."""
        trust = self.trust()
        if trust is None:
            raise NotPinnedError
        return trust

    def pin(self, data: bytes, *, replace: bool = False) -> Trust:
        """Trust what a `Trust.json` says from now on; HentouError when it says nothing usable, or something is
        trusted already and is not to be replaced. The same again is no replacement.
        """
        try:
            trust = Trust.parse(data)
        except ValueError as error:
            hint = "give it the trust of an admin's working copy: .git/hentou/trust.json"
            raise HentouError(f"this is no trust to pin: {error}", hint) from error
        if fault := trust.roster.fault:
            raise HentouError(f"nobody could work with this roster: {fault}", "correct roster.yaml")
        before = self.trust()
        if before and before != trust and not replace:
            raise HentouError(
                f"this machine is pinned already, at step {before.sequence} of repository {before.repository[:8]}",
                "`hentou pin --replace` makes it forget whom it trusts, which its people must want",
            )
        self.prepare()
        if before and before.repository != trust.repository:
            self._point_refs({MAIN: "", STATEMENTS: "", ACCEPTED: ""})
        if before != trust:
            self.disk.replace(TRUST, trust.json, 0o600)
        self.repair()
        return trust

    def prepare(self) -> None:
        """Make the repository, for root alone, unless it is there."""
        if not (self.repo.path / "HEAD").exists():
            self.disk.make_directory(BASE)
            GitStore.init(self.repo.path, SETTINGS)

    def lock(self, patience: float = 0) -> AbstractContextManager[None]:
        """Be the only one that takes something in; LockedError when another is for more than `patience` seconds."""
        self.disk.make_directory(BASE)
        return self.host.lock(LOCK, "another sync is taking in what is new", patience)

    def accept(self, source: GitStore, kept: Sequence[Kept], trust: Trust) -> None:
        """Make `trust`, which follows from these statements, what is trusted. All was verified in `source`.

        First the objects become durable in the repository, then trust.json, then the refs follow.
        """
        last = kept[-1].commit
        self.point()
        self.take(source, last, trust.head)
        self.point()
        self.disk.replace(TRUST, trust.json, 0o600)
        self.point()
        self._follow(last, trust.head)

    def take(self, source: GitStore, statement: str, head: str) -> None:
        """Copy a statement and a head, with all that leads to them, durably; no ref that others see moves."""
        self.prepare()
        wanted = [f"+{statement}:{ACCEPTED}", f"+{head}:{FETCHED}/head"]
        why = self.repo.fetch(source.path, wanted, seconds=MOVE_SECONDS, size=MOVE_SIZE)
        if why:
            self.repo.sweep()
            raise HentouError(f"could not be copied into {REPOSITORY}: {why}", "free some space, then `hentou sync`")
        self.point()
        self.repo.flush()

    def repair(self) -> None:
        """Make the refs say what trust.json says: a power cut may have come between. Twice is as once."""
        trust = self.trust()
        if trust is None or not trust.sequence or not (self.repo.path / "HEAD").exists():
            return
        refs = self.repo.refs("refs")
        if refs.get(MAIN) == trust.head and refs.get(STATEMENTS, "") == refs.get(ACCEPTED):
            return
        for commit in dict.fromkeys((refs.get(ACCEPTED), refs.get(STATEMENTS))):
            if commit and self._is(commit, trust) and self.repo.has(trust.head):
                self._follow(commit, trust.head)
                return

    def complete(self) -> bool:
        """Whether the accepted head and its statement are in the repository; a machine just pinned lacks them."""
        trust = self.trust()
        if trust is None or not trust.sequence:
            return True
        return (self.repo.path / "HEAD").exists() and self.repo.get(MAIN) == trust.head

    def complete_from(self, source: GitStore, statement: str) -> None:
        """Take the accepted head and its statement, found in `source`."""
        self.take(source, statement, self.pinned().head)
        self.repair()

    def _is(self, commit: str, trust: Trust) -> bool:
        try:
            return statements.read(self.repo, commit).statement.digest == trust.statement
        except RefusedError:
            return False

    def _follow(self, statement: str, head: str) -> None:
        self._point_refs({MAIN: head, STATEMENTS: statement, ACCEPTED: statement, f"{FETCHED}/head": ""})

    def _point_refs(self, wanted: dict[str, str]) -> None:
        now = self.repo.refs("refs")
        changes = {ref: new for ref, new in wanted.items() if now.get(ref, "") != new}
        if changes:
            self.repo.update(changes)
            self.repo.flush()
