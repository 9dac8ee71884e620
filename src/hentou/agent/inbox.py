"""The inbox: where admins push statements and heads over SSH, and what becomes of them.

/var/lib/hentou/inbox.git (bare, root, alternates: repo.git)
    refs/hentou/proposals/PERSON   a statement's commit, as `ledger.statements.write` makes it
    refs/hentou/heads/COMMIT       the head that it names
A statement that still misses signatures waits there; signatures that several people pushed for it count together.
What was accepted or refused is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hentou.agent.intake import Intake, Source
from hentou.agent.store import BASE
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.ledger import statements
from hentou.ledger.statements import PROPOSALS, Kept
from hentou.trust.acceptance import RefusedError, Why

INBOX = f"{BASE}/inbox.git"
HEADS = "refs/hentou/heads"
LARGEST_PUSH = 256 * 2**20
MOST_PROPOSALS = 100
"""More are looked at by the next sync."""

SETTINGS = {
    "receive.maxInputSize": str(LARGEST_PUSH),
    "receive.fsckObjects": "true",
    "receive.unpackLimit": "1",
    "core.hooksPath": "/dev/null",
    "core.bigFileThreshold": "1m",
    "uploadpack.allowAnySHA1InWant": "true",
    "gc.pruneExpire": "1.day.ago",
    "gc.autoDetach": "false",
}


class Inbox:
    """What was pushed to this machine."""

    def __init__(self, disk: Disk) -> None:
        self.store = GitStore(Path(disk.at(INBOX)))
        self._repo = Path(disk.at(f"{BASE}/repo.git"))

    def prepare(self) -> None:
        """Make the inbox, for root alone, unless it is there."""
        if not (self.store.path / "HEAD").exists():
            GitStore.init(self.store.path, SETTINGS)
        self.store.borrow(self._repo)

    def proposals(self) -> dict[str, str]:
        """Who proposes which statement's commit."""
        found = self.store.refs(PROPOSALS) if (self.store.path / "HEAD").exists() else {}
        return {ref.removeprefix(f"{PROPOSALS}/"): commit for ref, commit in sorted(found.items())[:MOST_PROPOSALS]}

    def take_in(self, intake: Intake) -> None:
        """Accept what can be accepted, remember why the rest is not, and drop what needs no further look."""
        waiting: dict[str, str] = {}
        proposals = self.proposals()
        for person, commit in proposals.items():
            if not self._take(intake, person, commit):
                waiting[person] = commit
        if waiting:
            waiting = self._together(intake, waiting)
        if proposals:
            intake.trusted.point()
            self._drop({person: commit for person, commit in proposals.items() if person not in waiting})

    def _take(self, intake: Intake, person: str, commit: str) -> bool:
        """Whether a proposal needs no further look."""
        try:
            intake.take(Source(f"inbox {person}", self.store, self._want), commit)
            self._stale(intake, commit)
        except RefusedError as refused:
            if refused.why in (Why.WAITING, Why.UNFETCHED):
                intake.waiting[person] = refused.message
                return False
            intake.refuse(f"inbox {person}", refused)
        else:
            intake.memory.well(f"inbox {person}")
        intake.waiting.pop(person, None)
        return True

    def _stale(self, intake: Intake, commit: str) -> None:
        """RefusedError for an old step of our own history: nobody has a reason to push one."""
        trust = intake.trusted.pinned()
        kept = statements.read(self.store, commit)
        if kept.statement.digest != trust.statement:
            step = f"step {kept.statement.sequence}, where {trust.sequence} is accepted"
            raise RefusedError(Why.REPLAYED, f"an old statement: {step}")

    def _want(self, commit: str) -> str:
        return "" if self.store.has(commit) else "it was not pushed"

    def _together(self, intake: Intake, waiting: dict[str, str]) -> dict[str, str]:
        """Proposals of the same statement, signed apart, as one: those that still wait."""
        same: dict[str, list[tuple[str, Kept]]] = {}
        for person, commit in waiting.items():
            kept = statements.read(self.store, commit)
            same.setdefault(kept.statement.digest, []).append((person, kept))
        left: dict[str, str] = {}
        for group in same.values():
            people = [person for person, _ in group]
            if len(group) == 1 or not self._take(intake, people[0], self._joined(kept for _, kept in group)):
                left |= {person: waiting[person] for person in people}
        return left

    def _joined(self, group: Iterable[Kept]) -> str:
        everything = list(group)
        first = everything[0]
        texts = dict.fromkeys(text for kept in everything for text in kept.signatures.values())
        return statements.write(self.store, first.statement, texts, self.store.parents(first.commit)).commit

    def _drop(self, done: dict[str, str]) -> None:
        """Remove proposals, unless a newer one came meanwhile, and the heads that none of the others names."""
        now = self.store.refs("refs/hentou")
        gone = {
            f"{PROPOSALS}/{person}": commit
            for person, commit in done.items()
            if now.get(f"{PROPOSALS}/{person}") == commit
        }
        left = [commit for ref, commit in now.items() if ref.startswith(f"{PROPOSALS}/") and ref not in gone]
        if not left:
            gone |= {ref: commit for ref, commit in now.items() if ref.startswith(f"{HEADS}/")}
        if gone:
            self.store.update(dict.fromkeys(gone, ""), gone)
