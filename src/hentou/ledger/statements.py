"""Statements in Git: one commit each, with the statement, its signatures, and the statements before as parents.

`statement.json` holds the canonical bytes, `signatures/KEY.sig` one armoured signature a key. Another signature makes
another commit of the same statement: a statement is known by the digest of its bytes, never by its commit.
The head is no parent: the chain stays small, and is verified before anything that it speaks of is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from hentou.effects import sshsig
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.trust.acceptance import Head, RefusedError, Signed, Trust, Why, accept, examine
from hentou.trust.statement import LONGEST, NAMESPACE, BadStatementError, Statement

REF = "refs/hentou/statements"
"""The newest statement that whoever keeps the repository has accepted."""

PROPOSALS = "refs/hentou/proposals"
"""Statements on their way to be accepted, one by each person who pushes one; only in inboxes."""

MOST_SIGNATURES = 64
MOST_WAYS = 64
"""Commits of one step that are looked at; more than a few are a trap for whoever walks them all."""

_SIGNATURE = re.compile(r"[0-9a-f]{16}\.sig")
_AT_ONCE = 4
MOST_STEPS = 20_000
"""Statements that are followed in one go; a collective that publishes ten times a day makes as many in five years."""


@dataclass(frozen=True)
class Kept:
    """A statement as a commit holds it; `signatures` by the names of their files."""

    commit: str
    statement: Statement
    signatures: Mapping[str, str]

    @property
    def signed(self) -> Signed:
        """With the keys whose signatures are good."""
        return Signed(self.statement, sshsig.good_keys(self.statement.data, self.signatures.values(), NAMESPACE))


def signed(kept: Iterable[Kept]) -> list[Signed]:
    """Several statements with the keys whose signatures are good; OpenSSH works on a few at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda one: one.signed, kept))


def read(store: GitStore, commit: str) -> Kept:
    """The statement that a commit holds; RefusedError (malformed) when it holds none."""
    data = store.read(commit, "statement.json", LONGEST)
    names = store.names(commit, "signatures")
    # Every machine keeps what it accepts for ever, and passes it on: nothing may hide beside a statement.
    alone = set(store.names(commit)) <= {"statement.json", "signatures"} and all(map(_SIGNATURE.fullmatch, names))
    if data is None or not alone or len(names) > MOST_SIGNATURES:
        raise RefusedError(
            Why.MALFORMED, f"commit {commit[:12]} holds something else than a statement with its signatures"
        )
    found = {name: store.read(commit, f"signatures/{name}", sshsig.LONGEST) for name in names}
    try:
        statement = Statement.parse(data)
    except BadStatementError as error:
        raise RefusedError(Why.MALFORMED, error.message, error.hint) from error
    return Kept(commit, statement, {name: text.decode(errors="replace") for name, text in found.items() if text})


def write(store: GitStore, statement: Statement, signatures: Iterable[str], parents: Iterable[str]) -> Kept:
    """Keep a statement with armoured signatures; `parents` are commits of the statements that it continues."""
    named = {f"{sha256(text.encode()).hexdigest()[:16]}.sig": text for text in signatures}
    files = {f"signatures/{name}": text.encode() for name, text in named.items()}
    return Kept(store.write_commit({"statement.json": statement.data, **files}, parents), statement, named)


def path(store: GitStore, trust: Trust, tip: str) -> list[Kept]:
    """The statements from the accepted one, without it, to `tip`, oldest first; each continues the one before.

    RefusedError when `tip` does not lead back to the accepted statement.
    """
    last = read(store, tip)
    if last.statement.digest == trust.statement:
        return []
    if last.statement.repository != trust.repository:
        raise RefusedError(Why.ANOTHER_COLLECTIVE, "a statement for another collective's repository")
    if last.statement.sequence <= trust.sequence:
        # The one place that words this is `examine`.
        examine(trust, last.signed)
    if last.statement.sequence - trust.sequence > MOST_STEPS:
        raise RefusedError(Why.SKIPPED, f"step {last.statement.sequence}, where {trust.sequence} is accepted: too far")
    return _back(store, trust, last)


def _back(store: GitStore, trust: Trust, last: Kept) -> list[Kept]:
    """Walk from `last` towards the accepted statement, step by step; what is on the way is only found, not believed."""
    layer: dict[str, tuple[Kept, ...]] = {last.commit: (last,)}
    for sequence in range(last.statement.sequence - 1, trust.sequence, -1):
        earlier: dict[str, tuple[Kept, ...]] = {}
        for way in layer.values():
            for parent in _parents(store, way[0]):
                kept = read(store, parent) if parent not in earlier else None
                if kept and kept.statement.sequence == sequence and kept.statement.digest in way[0].statement.previous:
                    earlier[parent] = (kept, *way)
        if len(earlier) > MOST_WAYS:
            raise RefusedError(Why.MALFORMED, f"more than {MOST_WAYS} commits for step {sequence}")
        if not earlier:
            raise RefusedError(Why.SKIPPED, f"step {sequence + 1} continues no step {sequence} that can be found")
        layer = earlier
    ways = list(layer.values())
    for way in ways:
        _parents(store, way[0])
    for way in ways:
        if not trust.sequence or trust.statement in way[0].statement.previous:
            return list(way)
    return list(ways[0])


def _parents(store: GitStore, kept: Kept) -> tuple[str, ...]:
    """Commits of the statements that one continues; RefusedError when others hang on it too."""
    found = store.parents(kept.commit)
    if len(found) > len(kept.statement.previous):
        raise RefusedError(Why.MALFORMED, f"commit {kept.commit[:12]} has parents that its statement does not continue")
    return found


def step(trust: Trust, kept: Kept, find: Callable[[Trust, Statement], Head]) -> Trust:
    """Accept one statement: examine it, then have its head looked at by `find`, then accept; RefusedError when not."""
    signed = kept.signed
    examine(trust, signed)
    return accept(trust, signed, find(trust, kept.statement))


def head_of(store: GitStore, trust: Trust, statement: Statement) -> Head:
    """What git says about a statement's head, which is in the store; RefusedError when it is not, or has no roster."""
    from hentou.model.load import read_roster  # noqa: PLC0415 - YAML and types, only where a head is really new
    from hentou.trust.roster import Roster  # noqa: PLC0415

    if not store.has(statement.head):
        raise RefusedError(Why.UNFETCHED, f"its head {statement.head[:12]} could not be fetched")
    data = store.read(statement.head, "roster.yaml", 2**20)
    if data is None:
        raise RefusedError(Why.ROSTER, f"its head {statement.head[:12]} has no roster.yaml")
    try:
        roster = Roster.of(read_roster(data))
    except HentouError as error:
        raise RefusedError(Why.ROSTER, f"its roster.yaml cannot be read: {error.message}", error.hint) from error
    return Head(not trust.head or store.is_ancestor(trust.head, statement.head), roster)
