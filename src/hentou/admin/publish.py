"""A statement for HEAD: proposed, signed, and brought to the machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hentou.admin import gather, signing, workcopy
from hentou.admin.chain import Branch, Settled, own_branch, settle
from hentou.admin.deliver import Delivery, deliver
from hentou.admin.reach import Reaching
from hentou.admin.signing import Signer
from hentou.admin.workcopy import WorkCopy
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import Kept
from hentou.trust.statement import Statement


@dataclass(frozen=True)
class Draft:
    """Statements to sign, in their order; `parents` are the commits of those they continue, by digest."""

    statements: tuple[Statement, ...]
    parents: Mapping[str, str]
    branches: tuple[Branch, ...]

    @property
    def last(self) -> Statement:
        """The step itself; those before only bring shorter branches to the length of the longest."""
        return self.statements[-1]


class NothingNewError(HentouError):
    """HEAD is what is accepted already."""


def propose(copy: WorkCopy, others: Sequence[Branch] = ()) -> Draft:
    """The next statement for HEAD, continuing what this laptop follows, and `others` that it joins.

    Every machine takes exactly one step of sequence at a time: shorter branches are brought to the length of the
    longest by statements that change nothing. NothingNewError when HEAD is accepted already; HentouError when it does
    not descend from what a branch accepted.
    """
    branches = (own_branch(copy), *others)
    trust, head = branches[0].trust, copy.head
    if head == trust.head and not others:
        raise NothingNewError(f"HEAD {head[:12]} is published already, as step {trust.sequence}")
    for branch in branches:
        _require_descent(copy, branch, head)
    top = max(branch.trust.sequence for branch in branches)
    made: list[Statement] = []
    ends: set[str] = set()
    for branch in branches:
        end = branch.trust.statement
        for sequence in range(branch.trust.sequence + 1, top + 1):
            epoch = branch.trust.roster.epoch
            made.append(Statement(trust.repository, sequence, (end,), branch.trust.head, epoch))
            end = made[-1].digest
        ends |= {end} if end else set()
    epoch = copy.roster_at(head).epoch
    for branch in branches:
        _require_epoch(branch, epoch)
    made.append(Statement(trust.repository, top + 1, tuple(sorted(ends)), head, epoch))
    return Draft(tuple(made), {b.trust.statement: b.tip for b in branches if b.tip}, branches)


def _require_descent(copy: WorkCopy, branch: Branch, head: str) -> None:
    accepted = branch.trust.head
    if not accepted or (copy.store.has(accepted) and copy.store.is_ancestor(accepted, head)):
        return
    who = f"{', '.join(branch.machines)} follow" if branch.machines else "the collective follows"
    if not copy.store.has(accepted):
        raise HentouError(f"{who} {accepted[:12]}, which is not in this working copy", "fetch it: `hentou publish`")
    raise HentouError(
        f"{who} {accepted[:12]} (step {branch.trust.sequence}), from which HEAD {head[:12]} does not descend",
        f"git merge {accepted[:12]}",
    )


def _require_epoch(branch: Branch, epoch: int) -> None:
    """HentouError where a branch's machines could not follow the roster: they take one change of it at a time."""
    trusted = branch.trust.roster.epoch
    if trusted <= epoch <= trusted + 1:
        return
    if branch.machines:
        who, machines = "the roster changed more than once while the collective was divided", ", ".join(branch.machines)
        hint = f"pin them anew, as their people agree: `hentou pin --replace` on {machines}"
    else:
        who, hint = "one change of the roster is published at a time", f"write `epoch: {trusted + 1}` into roster.yaml"
    raise HentouError(f"HEAD's roster is of epoch {epoch}, where {trusted} is trusted: {who}", hint)


def sign(copy: WorkCopy, draft: Draft, signer: Signer) -> Kept:
    """Sign a draft and keep it as Git commits; what others signed of it before counts on. The last statement."""
    known = {kept.statement.digest: kept for kept in copy.proposals().values()}
    commits = dict(draft.parents)
    kept: Kept | None = None
    for statement in draft.statements:
        before = known.get(statement.digest)
        signatures = list(before.signatures.values()) if before else []
        if before is None or signer.fingerprint not in before.signed.keys:
            signatures.append(signer.sign(statement))
        parents = [commits[digest] for digest in statement.previous]
        kept = statements.write(copy.store, statement, signatures, parents)
        commits[statement.digest] = kept.commit
    assert kept is not None  # noqa: S101 - a draft holds one statement at least
    return kept


@dataclass(frozen=True)
class Published:
    """What became of HEAD: the statement, whether signatures are missing, and how it went at each machine."""

    settled: Settled
    deliveries: tuple[Delivery, ...]


def publish(copy: WorkCopy, reach: Reaching, key: Path | None = None, machines: Iterable[str] = ()) -> Published:
    """Gather, sign HEAD and deliver it, without a question; what is signed already is only delivered.

    `hentou publish` does the same with a person between.
    """
    copy.require_clean()
    wanted = tuple(machines)
    gathered = gather.fetch(copy, reach, wanted)
    signer = choose(copy, key)
    settled = sign_head(copy, signer, gathered.branches)
    return Published(settled, () if settled.here else deliver(reach, settled, signer.person, wanted))


def choose(copy: WorkCopy, key: Path | None = None) -> Signer:
    """The key to sign HEAD with: of the trusted roster or, where HEAD changes it, of the new one.

    Before the first step HEAD's roster is the trusted one, and is kept as such once there is a key of it to sign with.
    """
    if workcopy.founds(copy):
        signer = signing.choose(copy, workcopy.founding_roster(copy), key)
        workcopy.found(copy)
        return signer
    present, head = own_branch(copy).trust.roster, copy.roster_at(copy.head)
    coming = head if head.epoch != present.epoch else None
    known = [kept.signed.keys for kept in copy.proposals().values() if kept.statement.head == copy.head]
    return signing.choose(copy, present, key, coming, frozenset().union(*known))


def sign_head(copy: WorkCopy, signer: Signer, branches: Sequence[Branch] = ()) -> Settled:
    """Sign HEAD and keep it; what is accepted already is given as it is."""
    try:
        draft = propose(copy, branches)
    except NothingNewError:
        return Settled(statements.read(copy.store, own_branch(copy).tip))
    return settle(copy, sign(copy, draft, signer), signer.person, draft.branches)
