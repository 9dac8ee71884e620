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
from hentou.effects.gitstore import NOBODY, GitStore
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

MOST_PAST = 4 * MOST_STEPS
"""Commits of a whole history that are looked at once, with those of branches that were joined."""

_LONGEST_COMMIT = 8192
"""Bytes of a statement's commit: as many parents as a statement has room for."""

_HASH = rb"(?:[0-9a-f]{40}|[0-9a-f]{64})"
_BY_NOBODY = b" ".join((NOBODY.encode(), rb"0 \+0000"))
_COMMIT = re.compile(
    rb"tree %b\n((?:parent %b\n)*)author %b\ncommitter %b\n\n" % (_HASH, _HASH, _BY_NOBODY, _BY_NOBODY)
)
"""As `write` makes them: nothing is hidden in a message, a header or a date."""


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
    if any(text is None or name != _file_of(text) for name, text in found.items()):
        raise RefusedError(Why.MALFORMED, f"commit {commit[:12]} holds a signature that is none, or is misnamed")
    try:
        statement = Statement.parse(data)
    except BadStatementError as error:
        raise RefusedError(Why.MALFORMED, error.message, error.hint) from error
    return Kept(commit, statement, {name: text.decode(errors="replace") for name, text in found.items() if text})


def _file_of(signature: bytes) -> str:
    return f"{sha256(signature).hexdigest()[:16]}.sig"


def write(store: GitStore, statement: Statement, signatures: Iterable[str], parents: Iterable[str]) -> Kept:
    """Keep a statement with armoured signatures; `parents` are commits of the statements that it continues."""
    named = {_file_of(text.encode()): text for text in signatures}
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
            for kept in _continued(store, way[0]):
                if kept.statement.sequence == sequence:
                    earlier.setdefault(kept.commit, (kept, *way))
        if len(earlier) > MOST_WAYS:
            raise RefusedError(Why.MALFORMED, f"more than {MOST_WAYS} commits for step {sequence}")
        if not earlier:
            raise RefusedError(Why.SKIPPED, f"step {sequence + 1} continues no step {sequence} that can be found")
        layer = earlier
    ways = list(layer.values())
    for way in ways:
        _continued(store, way[0])
    found = next((way for way in ways if not trust.sequence or trust.statement in way[0].statement.previous), ways[0])
    # Of what was signed apart and is joined here, nobody on this side has seen anything yet.
    if joined := next((kept for kept in found if len(kept.statement.previous) > 1), None):
        require_past(store, joined)
    return list(found)


def _continued(store: GitStore, kept: Kept) -> list[Kept]:
    """The statements that one continues, as far as its commit has them; RefusedError when others hang on it too."""
    try:
        header = _COMMIT.fullmatch(store.raw("commit", kept.commit, _LONGEST_COMMIT))
    except HentouError:
        header = None
    if header is None:
        raise RefusedError(Why.MALFORMED, f"commit {kept.commit[:12]} is not written as a statement's is")
    parents = [line[7:].decode() for line in header[1].splitlines()]
    found = [read(store, parent) for parent in parents] if len(parents) <= len(kept.statement.previous) else []
    if len(found) != len(parents) or any(one.statement.digest not in kept.statement.previous for one in found):
        raise RefusedError(Why.MALFORMED, f"commit {kept.commit[:12]} has parents that its statement does not continue")
    return found


def require_past(store: GitStore, kept: Kept) -> None:
    """RefusedError unless all that leads to a statement are statements that the next one names. Who signed them is
    not asked: whoever signed the last one vouches for their words.
    """
    waiting, seen = [kept], {kept.commit}
    while waiting:
        here = waiting.pop()
        new = [one for one in _continued(store, here) if one.commit not in seen]
        if any(one.statement.sequence >= here.statement.sequence for one in new) or len(seen) > MOST_PAST:
            raise RefusedError(Why.MALFORMED, f"the history of commit {kept.commit[:12]} is none, or without end")
        seen.update(one.commit for one in new)
        waiting += new


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
