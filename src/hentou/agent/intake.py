"""From a chain of statements that somebody gives to what this machine trusts: verified step by step, in spans.

Statements come first: signatures, order and thresholds are judged before a head is asked for. Heads come as far as
the source gives them, the newest first; where it fails, half as far, so that what was got is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hentou.agent.synced import Memory, Step
from hentou.agent.trusted import TrustStore
from hentou.effects.gitbatch import Batch
from hentou.effects.gitstore import GitStore
from hentou.ledger import statements
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import Head, RefusedError, Signed, Trust, Why, accept, examine
from hentou.trust.statement import Statement

CHUNK = 32
"""Statements whose signatures are checked before the next are looked at: junk ends at the first bad one."""


@dataclass(frozen=True)
class Source:
    """Where statements and heads come from: `name` for people, the store they are in, and how to have it filled.

    `want` makes a commit with its history be in the store; it returns why that failed, empty when it did not.
    """

    name: str
    store: GitStore
    want: Callable[[str], str]


class Intake:
    """Takes in what sources give. The caller holds the lock of syncs."""

    def __init__(self, trusted: TrustStore, memory: Memory) -> None:
        self.trusted = trusted
        self.memory = memory
        self.host = trusted.host
        self.accepted = 0
        self.refused: dict[str, str] = {}
        self.waiting: dict[str, str] = {}

    def take(self, source: Source, tip: str) -> None:
        """Accept as many steps towards the statement `tip`, which is in the source's store, as there is reason to.

        RefusedError tells why the next step is not accepted; those before it are. A source that is merely behind
        gives nothing and is no error.
        """
        trust = self.trusted.pinned()
        with Batch(source.store.path) as store:
            kept = self._path(store, trust, tip)
            self._complete(source, store, kept, tip, trust)
            while kept:
                span = _verified(trust, kept)
                self.trusted.point()
                trust, taken = self._heads(source, store, trust, span)
                self.trusted.accept(source.store, self._onto_ours(source.store, store, kept[:taken]), trust)
                self._remember(kept[:taken])
                kept = kept[taken:]

    def _path(self, store: GitStore, trust: Trust, tip: str) -> list[Kept]:
        try:
            return statements.path(store, trust, tip)
        except RefusedError as refused:
            # Whoever is behind gives an old step of our own history: only what leads elsewhere is refused.
            if refused.why is Why.REPLAYED and self._ours(store, tip):
                return []
            raise

    def _ours(self, store: GitStore, tip: str) -> bool:
        """Whether a statement is one that was accepted before."""
        old = statements.read(store, tip).statement
        with Batch(self.trusted.repo.path) as ours:
            layer = {ours.get(statements.REF)} - {""}
            while layer:
                kept = [found for commit in layer if (found := _read(ours, commit))]
                if any(one.statement.digest == old.digest for one in kept):
                    return True
                later = [one.commit for one in kept if one.statement.sequence > old.sequence]
                layer = {parent for commit in later for parent in ours.parents(commit)}
        return False

    def _onto_ours(self, plain: GitStore, store: Batch, kept: Sequence[Kept]) -> list[Kept]:
        """These statements as commits that continue our own: of what lies below, only the digests were verified, and
        whoever left signatures out there would have us pass it on to machines that are further behind.
        """
        ours = self.trusted.repo.get(statements.REF)
        if not ours or ours in store.parents(kept[0].commit):
            return list(kept)
        digest, found = self.trusted.pinned().statement, []
        for one in kept:
            others = [parent for parent in store.parents(one.commit) if _digest(store, parent) != digest]
            found.append(statements.write(plain, one.statement, one.signatures.values(), [ours, *others]))
            ours, digest = found[-1].commit, one.statement.digest
        return found

    def _complete(self, source: Source, store: Batch, kept: Sequence[Kept], tip: str, trust: Trust) -> None:
        """Get the head that this machine was pinned to, if it never had it."""
        if self.trusted.complete():
            return
        statement = tip
        if kept:
            before = [c for c in store.parents(kept[0].commit) if _digest(store, c) == trust.statement]
            if not before:
                return
            statement = before[0]
        found = statements.read(store, statement)
        signers = trust.roster.signers(found.signed.keys)
        if len(signers) >= trust.roster.threshold and not source.want(trust.head):
            # This machine will pass on all that lies below, which it never saw.
            statements.require_past(store, found)
            self.trusted.complete_from(source.store, statement)

    def _heads(self, source: Source, store: Batch, trust: Trust, span: Sequence[Signed]) -> tuple[Trust, int]:
        """Accept statements of a verified span with the heads that can be had; what is trusted then, and how many."""
        part = span
        while why := source.want(part[-1].statement.head):
            if len(part) == 1:
                raise RefusedError(Why.UNFETCHED, f"its head {part[0].statement.head[:12]} could not be fetched: {why}")
            part = part[: len(part) // 2]
        store.look_over(part[-1].statement.head, trust.head)

        def find(trust: Trust, statement: Statement) -> Head:
            if not store.has(statement.head) and (why := source.want(statement.head)):
                raise RefusedError(Why.UNFETCHED, f"its head {statement.head[:12]} could not be fetched: {why}")
            return statements.head_of(store, trust, statement)

        for count, signed in enumerate(part):
            try:
                trust = accept(trust, signed, find(trust, signed.statement))
            except RefusedError:
                if count:
                    return trust, count
                raise
        return trust, len(part)

    def refuse(self, source: str, refused: RefusedError) -> None:
        """Remember why something that a source gave is not accepted."""
        self.refused[source] = f"{refused.why}: {refused.message}"
        self.host.tell(f"refused from {source} ({refused.why}): {refused.message}")
        self.memory.refuse(str(refused.why), refused.message, source, self.host.moment())

    def _remember(self, kept: Sequence[Kept]) -> None:
        self.trusted.point()
        at = self.host.moment()
        self.accepted += len(kept)
        self.memory.accept(Step(k.statement.sequence, k.statement.head, at) for k in kept)
        last = kept[-1].statement
        self.host.tell(f"accepted step {last.sequence}: {last.head[:12]}")


def _read(store: GitStore, commit: str) -> Kept | None:
    try:
        return statements.read(store, commit)
    except RefusedError:
        return None


def _digest(store: GitStore, commit: str) -> str:
    found = _read(store, commit)
    return found.statement.digest if found else ""


def _verified(trust: Trust, kept: Sequence[Kept]) -> list[Signed]:
    """The first statements, at least one, that enough persons signed as far as the trusted roster can tell.

    A change of the roster ends them: who may sign after it is in its head. RefusedError when the first is refused.
    """
    found: list[Signed] = []
    here = trust
    for start in range(0, len(kept), CHUNK):
        for signed in statements.signed(kept[start : start + CHUNK]):
            try:
                examine(here, signed)
            except RefusedError:
                if found:
                    return found
                raise
            found.append(signed)
            step = signed.statement
            if step.epoch != trust.roster.epoch:
                return found
            here = replace(here, sequence=step.sequence, statement=step.digest, head=step.head)
    return found
