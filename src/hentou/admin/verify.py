"""Verify the whole chain of statements, from the first to the newest that is known here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hentou.admin.chain import own_branch
from hentou.admin.gather import first_trust
from hentou.admin.workcopy import WorkCopy
from hentou.effects.gitbatch import Batch
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import RefusedError, Trust, accept

CHUNK = 64
"""Statements whose signatures are checked at once."""


@dataclass(frozen=True)
class Verified:
    """One statement: the persons who signed it by the roster of then, and why it does not verify, if it does not."""

    kept: Kept
    people: tuple[str, ...]
    wrong: str = ""


def verify(copy: WorkCopy) -> Iterator[Verified]:
    """Every statement, oldest first, judged as a machine that was there from the start would have judged it.

    One that joins what was signed apart is judged for each side. It ends after the first that does not verify.
    """
    own = own_branch(copy)
    if not own.tip:
        return
    first = first_trust(copy, own.tip)
    if first.repository != own.trust.repository:
        raise HentouError("these statements are of another repository than this laptop trusts", "clone it anew")
    with Batch(copy.store.path) as store:
        store.look_over(own.trust.head, "")
        found = _all(store, own.tip)
        trusts: dict[str, Trust] = {"": first}
        for start in range(0, len(found), CHUNK):
            part = found[start : start + CHUNK]
            for kept, signed in zip(part, statements.signed(part), strict=True):
                befores = [trusts[digest] for digest in kept.statement.previous or ("",) if digest in trusts]
                people = {name for trust in befores for name in trust.roster.signers(signed.keys)}
                try:
                    after = [accept(t, signed, statements.head_of(store, t, kept.statement)) for t in befores]
                except RefusedError as refused:
                    yield Verified(kept, tuple(sorted(people)), f"{refused.why}: {refused.message}")
                    return
                trusts[kept.statement.digest] = after[0]
                yield Verified(kept, tuple(sorted(people)))


def _all(store: GitStore, tip: str) -> list[Kept]:
    """Every statement that leads to `tip`, by sequence; RefusedError when a commit holds none."""
    found: dict[str, Kept] = {}
    waiting, seen = [tip], {tip}
    while waiting:
        kept = statements.read(store, waiting.pop())
        # The same statement with more signatures is another commit: any of them will do that is complete.
        known = found.get(kept.statement.digest)
        if known is None or len(known.signatures) < len(kept.signatures):
            found[kept.statement.digest] = kept
        new = [parent for parent in store.parents(kept.commit) if parent not in seen]
        seen.update(new)
        waiting += new
    return sorted(found.values(), key=lambda kept: kept.statement.sequence)


def published_as(copy: WorkCopy, commit: str, found: list[Verified]) -> int:
    """The first step whose head has a commit in its history; 0 when none has."""
    low, high = 0, len(found)
    with Batch(copy.store.path) as store:
        # Every head descends from the one before, so that halving finds the first.
        while low < high:
            middle = (low + high) // 2
            if store.is_ancestor(commit, found[middle].kept.statement.head):
                high = middle
            else:
                low = middle + 1
    return found[low].kept.statement.sequence if low < len(found) else 0
