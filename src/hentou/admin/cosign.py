"""Statements that still miss signatures: found on the machines, looked at, signed by one more person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hentou.admin.chain import Branch, own_branch
from hentou.admin.gather import REMOTES
from hentou.admin.reach import INBOX, Connection, Reaching, UnreachableError
from hentou.admin.signing import Signer
from hentou.admin.workcopy import WorkCopy
from hentou.effects.gitstore import GitStore
from hentou.ledger import statements
from hentou.ledger.statements import PROPOSALS, Kept
from hentou.trust.acceptance import RefusedError, Trust

HEADS = "refs/hentou/heads"


@dataclass(frozen=True)
class Proposal:
    """One statement that is proposed: the commits that hold it with different signatures, the persons who signed it,
    and how many more of the trusted roster must.
    """

    last: Kept
    tips: tuple[str, ...]
    people: frozenset[str]
    missing: int


def fetch(copy: WorkCopy, reach: Reaching, machines: Iterable[str] = ()) -> tuple[Proposal, ...]:
    """Fetch what lies in the inboxes of all machines that can be reached; every proposal that would be a next step,
    those kept here included.
    """

    def one(item: tuple[str, Connection | UnreachableError]) -> list[str]:
        machine, found = item
        if isinstance(found, UnreachableError):
            return []
        place = f"{REMOTES}/{machine}"
        copy.store.update(dict.fromkeys(copy.store.refs(f"{place}/proposals"), ""))
        specs = [f"+{PROPOSALS}/*:{place}/proposals/*", f"+{HEADS}/*:{place}/heads/*"]
        found.fetch(specs, INBOX, seconds=120)
        return list(copy.store.refs(f"{place}/proposals").values())

    with ThreadPoolExecutor(max_workers=16) as pool:
        there = [tip for tips in pool.map(one, reach.all(machines).items()) for tip in tips]
    return proposals(copy, [*there, *(kept.commit for kept in copy.proposals().values())])


def proposals(copy: WorkCopy, tips: Iterable[str]) -> tuple[Proposal, ...]:
    """The proposals among some commits, by sequence: those that somebody of the roster signed and that continue what
    is accepted here.
    """
    trust = own_branch(copy).trust
    found: dict[str, list[Kept]] = {}
    for tip in dict.fromkeys(tips):
        try:
            kept = statements.path(copy.store, trust, tip)
        except RefusedError:
            continue
        if kept and copy.store.has(kept[-1].statement.head) and trust.roster.signers(kept[-1].signed.keys):
            found.setdefault(kept[-1].statement.digest, []).append(kept[-1])
    made = [_proposal(trust, same) for same in found.values()]
    return tuple(sorted(made, key=lambda proposal: (proposal.last.statement.sequence, proposal.last.commit)))


def _proposal(trust: Trust, same: Sequence[Kept]) -> Proposal:
    people = trust.roster.signers(key for kept in same for key in kept.signed.keys)
    missing = max(needed(trust, same[0]) - len(people), 0)
    return Proposal(same[0], tuple(kept.commit for kept in same), people, missing)


def needed(trust: Trust, kept: Kept) -> int:
    """How many persons of the trusted roster must sign a statement."""
    changes = kept.statement.epoch != trust.roster.epoch
    return trust.roster.root_threshold if changes else trust.roster.threshold


def countersign(copy: WorkCopy, proposal: Proposal, signer: Signer, branches: Sequence[Branch] = ()) -> Kept:
    """Add a signature to a proposal and to every statement before it that misses some; all of them kept as new commits
    with all signatures that are known.
    """
    own = own_branch(copy)
    ends = {branch.trust.statement for branch in (own, *branches)}
    known = _signatures(copy.store, proposal.tips, ends, own)
    done: dict[str, str] = {}

    def build(commit: str) -> str:
        kept = statements.read(copy.store, commit)
        digest = kept.statement.digest
        if digest not in known:
            return commit
        if digest not in done:
            whole = Kept(commit, kept.statement, {str(n): text for n, text in enumerate(known[digest])})
            keys = whole.signed.keys
            signatures = list(known[digest])
            if signer.fingerprint not in keys and len(own.trust.roster.signers(keys)) < needed(own.trust, kept):
                signatures.append(signer.sign(kept.statement))
            parents = [build(parent) for parent in copy.store.parents(commit)]
            done[digest] = statements.write(copy.store, kept.statement, signatures, parents).commit
        return done[digest]

    return statements.read(copy.store, build(proposal.tips[0]))


def _signatures(store: GitStore, tips: Iterable[str], ends: Iterable[str], own: Branch) -> Mapping[str, list[str]]:
    """All known signatures of every statement from the tips down to what is accepted, by digest."""
    stop, found = set(ends), dict[str, dict[str, None]]()
    waiting, seen = list(tips), set[str]()
    while waiting:
        commit = waiting.pop()
        kept = statements.read(store, commit)
        if commit in seen or kept.statement.digest in stop or (own.tip and store.is_ancestor(commit, own.tip)):
            continue
        seen.add(commit)
        found.setdefault(kept.statement.digest, {}).update(dict.fromkeys(kept.signatures.values()))
        waiting += store.parents(commit)
    return {digest: list(texts) for digest, texts in found.items()}
