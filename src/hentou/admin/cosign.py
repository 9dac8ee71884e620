"""Statements that still miss signatures: found on the machines, looked at, signed by one more person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hentou.admin import signing
from hentou.admin.chain import Branch, lacks, own_branch, rosters_of
from hentou.admin.gather import REMOTES
from hentou.admin.reach import INBOX, Connection, Reaching, UnreachableError
from hentou.admin.signing import Signer
from hentou.admin.workcopy import WorkCopy
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import PROPOSALS, Kept
from hentou.trust.acceptance import RefusedError, Signed, Trust

HEADS = "refs/hentou/heads"


@dataclass(frozen=True)
class Proposal:
    """One statement that is proposed: the commits that hold it with different signatures, the persons who signed it,
    by the trusted roster or the one that it brings, and what it still lacks, if anything.
    """

    last: Kept
    tips: tuple[str, ...]
    people: frozenset[str]
    keys: frozenset[str]
    missing: str


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
    # Nobody is trusted by a roster that a stranger brings; but what is kept here was signed by a person here.
    ours = {kept.commit for kept in copy.proposals().values()}
    found: dict[str, list[Kept]] = {}
    for tip in dict.fromkeys(tips):
        try:
            kept = statements.path(copy.store, trust, tip)
        except RefusedError:
            continue
        if not kept or not copy.store.has(kept[-1].statement.head):
            continue
        if tip in ours or trust.roster.signers(kept[-1].signed.keys):
            found.setdefault(kept[-1].statement.digest, []).append(kept[-1])
    made: list[Proposal] = []
    for same in found.values():
        # One whose roster cannot be read is no next step for anybody, and must not hide the others.
        with suppress(HentouError):
            made.append(_proposal(copy, trust, same))
    return tuple(sorted(made, key=lambda proposal: (proposal.last.statement.sequence, proposal.last.commit)))


def _proposal(copy: WorkCopy, trust: Trust, same: Sequence[Kept]) -> Proposal:
    statement = same[0].statement
    keys = frozenset(key for kept in same for key in kept.signed.keys)
    people = frozenset(p for roster in rosters_of(copy, trust, statement) for p in roster.signers(keys))
    lacking = lacks(copy, trust, Signed(statement, keys))
    return Proposal(same[0], tuple(kept.commit for kept in same), people, keys, lacking[0] if lacking else "")


def choose(copy: WorkCopy, proposal: Proposal, key: Path | None = None) -> Signer:
    """The key to sign a proposal with, of the trusted roster or of the one that it brings: one that adds something,
    where there is one. HentouError when there is none at all.
    """
    trust = own_branch(copy).trust
    present, *coming = rosters_of(copy, trust, proposal.last.statement)
    return signing.choose(copy, present, key, next(iter(coming), None), proposal.keys)


def adds(copy: WorkCopy, proposal: Proposal, signer: Signer) -> bool:
    """Whether a signature adds to those that a proposal has."""
    rosters = rosters_of(copy, own_branch(copy).trust, proposal.last.statement)
    return signing.adds(rosters, proposal.keys, signer.fingerprint)


def countersign(copy: WorkCopy, proposal: Proposal, signer: Signer, branches: Sequence[Branch] = ()) -> Kept:
    """Add a signature to a proposal and to every statement before it that misses some; all of them kept as new commits
    with all signatures that are known.
    """
    own = own_branch(copy)
    ends = {branch.trust.statement for branch in (own, *branches)}
    known = _signatures(copy.store, proposal.tips, ends, own)
    trusts = [own.trust, *(branch.trust for branch in branches)]
    done: dict[str, str] = {}

    def build(commit: str) -> str:
        kept = statements.read(copy.store, commit)
        digest = kept.statement.digest
        if digest not in known:
            return commit
        if digest not in done:
            whole = Kept(commit, kept.statement, {str(n): text for n, text in enumerate(known[digest])})
            signatures = list(known[digest])
            if _helps(copy, trusts, whole.signed, signer):
                signatures.append(signer.sign(kept.statement))
            parents = [build(parent) for parent in copy.store.parents(commit)]
            done[digest] = statements.write(copy.store, kept.statement, signatures, parents).commit
        return done[digest]

    return statements.read(copy.store, build(proposal.tips[0]))


def _helps(copy: WorkCopy, trusts: Sequence[Trust], signed: Signed, signer: Signer) -> bool:
    """Whether a statement still lacks what a signer can give, for whoever may take it as the next step."""
    epoch = signed.statement.epoch
    fitting = [trust for trust in trusts if trust.roster.epoch <= epoch <= trust.roster.epoch + 1]
    return signer.fingerprint not in signed.keys and any(
        lacks(copy, trust, signed)
        and signing.adds(rosters_of(copy, trust, signed.statement), signed.keys, signer.fingerprint)
        for trust in fitting
    )


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
