"""The log of heads: every accepted statement, newest first, read in one go; and who signed it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hentou.effects import sshsig
from hentou.effects.gitbatch import Batch
from hentou.effects.gitstore import GitStore
from hentou.ledger.objects import read_many
from hentou.ledger.statements import REF, read
from hentou.trust.roster import Roster
from hentou.trust.statement import NAMESPACE, BadStatementError, Statement


@dataclass(frozen=True)
class Head:
    """An accepted statement, and the commit that keeps it."""

    commit: str
    statement: Statement


def heads(store: GitStore, limit: int, tip: str = REF) -> list[Head]:
    """The newest statements, by their sequence, newest first; none where nothing was accepted yet."""
    listed = store.git("rev-list", f"--max-count={limit}", "--topo-order", "--end-of-options", tip, check=False)
    commits = listed.stdout.split() if not listed.status else []
    found = list(_statements(store, commits))
    return sorted(found, key=lambda head: head.statement.sequence, reverse=True)


def _statements(store: GitStore, commits: list[str]) -> Iterator[Head]:
    files = read_many(store, [f"{commit}:statement.json" for commit in commits])
    for commit, data in zip(commits, files, strict=True):
        try:
            yield Head(commit, Statement.parse(data or b""))
        except BadStatementError:
            continue


def signers(store: GitStore, head: Head, roster: Roster) -> tuple[str, ...]:
    """Who signed a statement: names of the roster, and fingerprints of keys that it does not know (any more)."""
    with Batch(store.path) as asked:
        kept = read(asked, head.commit)
    keys = sshsig.good_keys(kept.statement.data, kept.signatures.values(), NAMESPACE)
    known = frozenset(key for own in roster.admins.values() for key in own)
    return (*sorted(roster.signers(keys)), *sorted(keys - known))


def subjects(store: GitStore, commits: Iterable[str]) -> dict[str, str]:
    """The first lines of commits' messages; a commit that is not here is left out."""
    words = (
        "log",
        "--no-walk=unsorted",
        "--ignore-missing",
        "--stdin",
        "-z",
        "--format=%H%x00%s",
        "--no-show-signature",
    )
    said = store.git(*words, stdin="".join(f"{commit}\n" for commit in commits), check=False).stdout.split("\0")
    return dict(zip(said[::2], said[1::2], strict=False))
