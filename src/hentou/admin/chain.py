"""The chain of statements that a laptop follows: what continues it, what is accepted, what still wants signatures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hentou.admin.workcopy import WorkCopy
from hentou.effects.gitbatch import Batch
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.statements import PROPOSALS, Kept
from hentou.trust.acceptance import Head, RefusedError, Signed, Trust, Why, accept, examine
from hentou.trust.roster import Roster
from hentou.trust.statement import Statement

_UNSIGNED = (Why.UNSIGNED, Why.STRANGER, Why.WAITING)


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
    here: bool = False
    """Whether machines would throw it away as a stranger's, so that it waits in this working copy alone."""


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
            if refused.why is not Why.WAITING and not _signed_by_newcomers(copy, branch.trust, kept, refused):
                whom = f" by {', '.join(branch.machines)}" if branch.machines else ""
                message = f"this would be refused{whom} ({refused.why}): {refused.message}"
                raise HentouError(message, refused.hint) from refused
            waiting = refused
    if waiting:
        copy.store.update({f"{PROPOSALS}/{person}": kept.commit})
        hint = waiting.hint or "a person of the present roster signs with `hentou cosign`"
        told = f"{hint}: ask {_others(copy, own.trust, kept)}"
        return Settled(kept, waiting.message, told, here=waiting.why is Why.STRANGER)
    copy.keep(trusts[0], kept.commit)
    drop_old(copy)
    return Settled(kept)


def _signed_by_newcomers(copy: WorkCopy, trust: Trust, kept: Kept, refused: RefusedError) -> bool:
    """Whether only persons or keys of the roster that comes signed so far."""
    rosters = rosters_of(copy, trust, kept.statement)
    return refused.why is Why.STRANGER and any(roster.signers(kept.signed.keys) for roster in rosters)


def rosters_of(copy: WorkCopy, trust: Trust, statement: Statement) -> tuple[Roster, ...]:
    """Whose signatures count for a statement: the trusted roster's and, where it changes, the new one's."""
    changes = statement.epoch != trust.roster.epoch
    return (trust.roster, copy.roster_at(statement.head)) if changes else (trust.roster,)


def lacks(copy: WorkCopy, trust: Trust, signed: Signed) -> tuple[str, Roster] | None:
    """What a statement still lacks of signatures, in the words of acceptance, and whose; None when nothing.

    It is judged as the next step, whatever leads to it: of the steps before, each is judged alone.
    """
    statement = signed.statement
    before = replace(trust, sequence=statement.sequence - 1, statement=next(iter(statement.previous), ""))
    roster = trust.roster
    try:
        examine(before, signed)
        if statement.epoch != roster.epoch:
            roster = copy.roster_at(statement.head)
            accept(before, signed, Head(descends=True, roster=roster))
    except RefusedError as refused:
        return (refused.message, roster) if refused.why in _UNSIGNED else None
    return None


def _others(copy: WorkCopy, trust: Trust, kept: Kept) -> str:
    """Who has not signed yet, of the roster that still lacks somebody."""
    keys = kept.signed.keys
    rosters = rosters_of(copy, trust, kept.statement)
    known = {person for roster in rosters for person in roster.signers(keys)}
    lacking = lacks(copy, trust, kept.signed)
    roster = lacking[1] if lacking else trust.roster
    age = "present" if roster == trust.roster else "new"
    missing = sorted(roster.admins.keys() - roster.signers(keys))
    told = (f"{p}, with the {age} key (`hentou cosign --key FILE`)" if p in known else p for p in missing)
    return " or ".join(told)


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
