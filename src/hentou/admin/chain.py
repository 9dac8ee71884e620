"""The chain of statements that a laptop follows: what continues it, what is accepted, what still wants signatures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hentou.admin.workcopy import WorkCopy
from hentou.effects.gitbatch import Batch
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import PROPOSALS, Kept
from hentou.trust.acceptance import RefusedError, Trust, Why


@dataclass(frozen=True)
class Branch:
    """Statements that somebody follows: what is trusted at their end, the commit of the last, and the machines that
    are known to follow them.
    """

    trust: Trust
    tip: str
    machines: tuple[str, ...] = ()


def own_branch(copy: WorkCopy) -> Branch:
    """What this laptop follows; HentouError when it has accepted nothing yet."""
    trust = copy.trust
    if trust is None:
        raise HentouError("this working copy follows no collective yet", "`hentou publish` begins")
    tip = copy.store.get(statements.REF)
    if tip and statements.read(copy.store, tip).statement.digest != trust.statement:
        # The power went between the ref and the file: the ref is the newer one.
        trust = follow(copy, trust, tip)
        copy.keep(trust)
    return Branch(trust, tip)


@dataclass(frozen=True)
class Settled:
    """What became of a statement here: accepted or, with `missing`, kept as a proposal that still wants signatures."""

    kept: Kept
    missing: str = ""
    hint: str = ""


def settle(copy: WorkCopy, kept: Kept, person: str, branches: Iterable[Branch] = ()) -> Settled:
    """Judge a signed statement as every machine will, for each branch; then accept it here, or keep it as a proposal.

    HentouError when it would be refused for more than a missing signature; nothing is kept then.
    """
    own = own_branch(copy)
    waiting: RefusedError | None = None
    trusts: list[Trust] = []
    for branch in (own, *(branch for branch in branches if branch != own)):
        try:
            trusts.append(follow(copy, branch.trust, kept.commit))
        except RefusedError as refused:
            if refused.why is not Why.WAITING:
                whom = f" by {', '.join(branch.machines)}" if branch.machines else ""
                message = f"this would be refused{whom} ({refused.why}): {refused.message}"
                raise HentouError(message, refused.hint) from refused
            waiting = refused
    if waiting:
        copy.store.update({f"{PROPOSALS}/{person}": kept.commit})
        return Settled(kept, waiting.message, f"{waiting.hint}: ask {_others(copy, own.trust, kept)}")
    copy.keep(trusts[0], kept.commit)
    drop_old(copy)
    return Settled(kept)


def _others(copy: WorkCopy, trust: Trust, kept: Kept) -> str:
    """Who has not signed yet, of the present roster and of the one that comes."""
    keys = kept.signed.keys
    rosters = (trust.roster, copy.roster_at(kept.statement.head))
    return " or ".join(sorted({person for r in rosters for person in r.admins.keys() - r.signers(keys)}))


def follow(copy: WorkCopy, trust: Trust, tip: str) -> Trust:
    """What is trusted after every statement up to the commit `tip`; RefusedError at the first that is refused."""
    with Batch(copy.store.path) as store:
        for kept in statements.path(store, trust, tip):
            trust = statements.step(trust, kept, lambda now, found: statements.head_of(store, now, found))
    return trust


def drop_old(copy: WorkCopy) -> None:
    """Forget proposals for steps that are taken."""
    trust = copy.trust
    sequence = trust.sequence if trust else 0
    old = [person for person, kept in copy.proposals().items() if kept.statement.sequence <= sequence]
    if old:
        copy.store.update({f"{PROPOSALS}/{person}": "" for person in old})
