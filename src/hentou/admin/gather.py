"""What the machines have accepted and told, brought into an admin's working copy and verified there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from hentou.admin.chain import Branch, drop_old, follow, own_branch
from hentou.admin.reach import Connection, Reaching, UnreachableError
from hentou.admin.workcopy import WorkCopy
from hentou.effects.gitbatch import Batch
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import statements
from hentou.ledger.ingest import ingest_all
from hentou.ledger.journals import Journal
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import RefusedError, Trust, Why
from hentou.trust.journal import REFS as JOURNALS

REMOTES = "refs/hentou/remotes"
"""What each machine showed last, not yet believed."""

_STATEMENTS = 2**24
_OBJECTS = 2**28
"""Bytes that one fetch may bring."""

_MAIN = "refs/heads/main"
_NONE_THERE = "couldn't find remote ref"
_TRUST_FILE = "/var/lib/hentou/trust.json"


@dataclass(frozen=True)
class Heard:
    """What one machine showed: its newest statement's commit, or why it showed none.

    `pinned` is what a machine that shows no statement was pinned to; asked only where this laptop trusts nothing yet.
    """

    machine: str
    way: str = ""
    tip: str = ""
    trouble: str = ""
    pinned: Trust | None = None

    @property
    def reached(self) -> bool:
        """Whether the machine answered."""
        return bool(self.way)


@dataclass(frozen=True)
class Gathered:
    """All that was heard; `steps` newly accepted here; `branches` that were signed apart from ours and must be
    joined; `alarms` for people to look at.
    """

    heard: Mapping[str, Heard]
    steps: int = 0
    branches: tuple[Branch, ...] = ()
    alarms: tuple[str, ...] = field(default=())


def fetch(copy: WorkCopy, reach: Reaching, machines: Iterable[str] = ()) -> Gathered:
    """Fetch from every machine that can be reached, all at once, and accept what can be: statements, then journals.

    A laptop that trusts nothing yet only hears: see `meet`.
    """
    fresh, known = copy.trust is None, tuple(journal_keys(copy))

    def one(item: tuple[str, Connection | UnreachableError]) -> Heard:
        machine, found = item
        if isinstance(found, UnreachableError):
            return Heard(machine, trouble=found.message)
        return _hear(copy.store, found, known, fresh=fresh)

    with ThreadPoolExecutor(max_workers=16) as pool:
        heard = {found.machine: found for found in pool.map(one, reach.all(machines).items())}
    return digest(copy, heard)


def digest(copy: WorkCopy, heard: Mapping[str, Heard]) -> Gathered:
    """Judge what was heard: steps to accept, branches to join, journals to take in."""
    if copy.trust is None:
        return Gathered(heard)
    before = own_branch(copy).trust.sequence
    tips: dict[str, list[str]] = {}
    for found in heard.values():
        if found.tip:
            tips.setdefault(found.tip, []).append(found.machine)
    branches, alarms = _judge(copy, tips)
    alarms += _take_journals(copy, heard)
    drop_old(copy)
    return Gathered(heard, own_branch(copy).trust.sequence - before, branches, tuple(alarms))


def _hear(store: GitStore, connection: Connection, known: Iterable[str], *, fresh: bool) -> Heard:
    """Statements first: they are small. Then what they speak of, and journals of machines that are `known`: a machine
    that was broken into may have invented thousands of names.
    """
    machine, place = connection.machine, f"{REMOTES}/{connection.machine}"
    why = connection.fetch([f"+{statements.REF}:{place}/statements"], seconds=20, size=_STATEMENTS)
    if _NONE_THERE in why:
        why = ""
    elif not why:
        specs = [f"+{JOURNALS}/{name}/*:{place}/journals/{name}/*" for name in known]
        specs.append(f"+{_MAIN}:refs/remotes/hentou/{machine}/main")
        why = connection.fetch(specs, seconds=120, size=_OBJECTS)
    tip = store.get(f"{place}/statements")
    pinned = _pinned(connection) if fresh and not tip else None
    return Heard(machine, connection.way, tip, why, pinned)


def _pinned(connection: Connection) -> Trust | None:
    said = connection.run(["cat", _TRUST_FILE], timeout=20, root=True)
    try:
        return Trust.parse(said.raw) if not said.status else None
    except ValueError:
        return None


# Statements


def _judge(copy: WorkCopy, tips: Mapping[str, list[str]]) -> tuple[tuple[Branch, ...], list[str]]:
    branches: list[Branch] = []
    alarms: list[str] = []
    longest = sorted(tips.items(), key=lambda item: (-_sequence(copy.store, item[0]), item[0]))
    for tip, machines in longest:
        try:
            branch = _branch(copy, tip)
        except RefusedError as refused:
            alarms.append(f"{', '.join(machines)}: statements that are refused ({refused.why}): {refused.message}")
            continue
        except HentouError as error:
            # One machine that shows junk must not keep its admin from the others.
            alarms.append(f"{', '.join(machines)}: statements that cannot be read: {error.message}")
            continue
        if branch is not None:
            _add(copy.store, branches, replace(branch, machines=tuple(machines)))
    return tuple(branches), alarms


def _sequence(store: GitStore, commit: str) -> int:
    try:
        return statements.read(store, commit).statement.sequence
    except HentouError:
        return 0


def _branch(copy: WorkCopy, tip: str) -> Branch | None:
    """Accept a chain here if it continues ours; a branch when it was signed apart; None when there is nothing new."""
    own = own_branch(copy)
    trust = own.trust
    try:
        copy.keep(follow(copy, trust, tip), tip)
    except RefusedError as refused:
        if refused.why not in (Why.FORKED, Why.REPLAYED, Why.SKIPPED) or not own.tip:
            raise
        fork = shared(copy.store, own.tip, tip)
        theirs = statements.read(copy.store, tip).statement
        if fork is None or fork.statement.digest == trust.statement:
            raise
        if fork.statement.digest == theirs.digest:
            return None
        return Branch(follow(copy, trust_at(copy, fork), tip), tip)
    return None


def _add(store: GitStore, branches: list[Branch], new: Branch) -> None:
    """Add a branch, unless it is only the beginning of one that is there: its machines are behind on that one."""
    for place, branch in enumerate(branches):
        common = shared(store, branch.tip, new.tip)
        if common and common.statement.digest == new.trust.statement:
            branches[place] = replace(branch, machines=(*branch.machines, *new.machines))
            return
    branches.append(new)


def shared(store: GitStore, ours: str, theirs: str) -> Kept | None:
    """The newest statement that two chains share; None when there is none. Nothing is verified."""
    with Batch(store.path) as asked:
        one, other = _level(asked, [ours]), _level(asked, [theirs])
        while one and other:
            both = one.keys() & other.keys()
            if both:
                return one[min(both)]
            if _height(one) >= _height(other):
                one = _below(asked, one)
            else:
                other = _below(asked, other)
    return None


def _level(store: GitStore, commits: Iterable[str]) -> dict[str, Kept]:
    found = (statements.read(store, commit) for commit in commits)
    return {kept.statement.digest: kept for kept in found}


def _height(level: Mapping[str, Kept]) -> int:
    return next(iter(level.values())).statement.sequence


def _below(store: GitStore, level: Mapping[str, Kept]) -> dict[str, Kept]:
    """The statements one step before; several where one joins what was signed apart."""
    sequence = _height(level) - 1
    wanted = {digest for kept in level.values() for digest in kept.statement.previous}
    parents = dict.fromkeys(parent for kept in level.values() for parent in store.parents(kept.commit))
    found = _level(store, parents)
    return {digest: kept for digest, kept in found.items() if kept.statement.sequence == sequence and digest in wanted}


def trust_at(copy: WorkCopy, kept: Kept) -> Trust:
    """What was trusted once a statement of our own history was accepted."""
    statement = kept.statement
    roster = copy.roster_at(statement.head)
    return Trust(statement.repository, statement.sequence, statement.digest, statement.head, roster)


# First contact


@dataclass(frozen=True)
class Origin:
    """A collective as machines show it to a laptop that knows none: to be trusted by a person, or not."""

    trust: Trust
    tip: str
    machines: tuple[str, ...]


def meet(copy: WorkCopy, gathered: Gathered) -> Origin | None:
    """Verify what machines show from its first statement on, with the roster of its first head; None for nothing.

    HentouError when they show different collectives, or what does not verify.
    """
    found: dict[str, list[Origin]] = {}
    for heard in gathered.heard.values():
        origin = _origin(copy, heard)
        if origin:
            found.setdefault(origin.trust.repository, []).append(origin)
    if len(found) > 1:
        told = "; ".join(f"{repo} on {', '.join(m for o in origins for m in o.machines)}"
                         for repo, origins in found.items())  # fmt: skip
        raise HentouError(f"the machines belong to different collectives: {told}", "name one with --only MACHINE")
    if not found:
        return None
    origins = next(iter(found.values()))
    best = max(origins, key=lambda origin: origin.trust.sequence)
    return replace(best, machines=tuple(machine for origin in origins for machine in origin.machines))


def _origin(copy: WorkCopy, heard: Heard) -> Origin | None:
    if heard.tip:
        try:
            return Origin(follow(copy, first_trust(copy, heard.tip), heard.tip), heard.tip, (heard.machine,))
        except RefusedError as refused:
            message = f"{heard.machine}: statements that do not verify ({refused.why}): {refused.message}"
            raise HentouError(message, refused.hint) from refused
    return Origin(heard.pinned, "", (heard.machine,)) if heard.pinned and not heard.pinned.sequence else None


def first_trust(copy: WorkCopy, tip: str) -> Trust:
    """What somebody who trusts the first statement of a chain trusts before it: the roster of its head."""
    with Batch(copy.store.path) as store:
        level = _level(store, [tip])
        while _height(level) > 1:
            below = _below(store, level)
            if not below:
                raise RefusedError(Why.SKIPPED, f"step {_height(level)} continues no step that can be found")
            level = below
    first = next(iter(level.values())).statement
    if not copy.store.has(first.head):
        raise RefusedError(Why.UNFETCHED, f"the head {first.head[:12]} of its first step is not here")
    return Trust(first.repository, 0, "", "", copy.roster_at(first.head))


# Journals


def _take_journals(copy: WorkCopy, heard: Mapping[str, Heard]) -> list[str]:
    keys = journal_keys(copy)
    alarms: list[str] = []
    for machine in heard:
        prefix = f"{REMOTES}/{machine}/journals"
        refs = copy.store.refs(prefix)
        shown = {Journal.of(JOURNALS + ref.removeprefix(prefix)): tip for ref, tip in refs.items()}
        offers = {journal: tip for journal, tip in shown.items() if journal}
        if offers:
            try:
                taken = ingest_all(copy.store, copy.store, offers, keys)
            except HentouError as error:
                alarms.append(f"{machine}: journals that cannot be read: {error.message}")
            else:
                alarms += [alarm.text(machine) for alarm in taken.alarms]
        if refs:
            copy.store.update(dict.fromkeys(refs, ""))
    return alarms


def journal_keys(copy: WorkCopy) -> dict[str, str]:
    """Who may write which journal, as the accepted head says it; as HEAD does before the first."""
    trust = copy.trust
    try:
        collective = copy.collective(trust.head if trust and trust.head else "HEAD")
    except HentouError:
        return {}
    return {machine: keys.journal for machine, keys in collective.keys.items() if keys.journal}
