"""Acceptance against a naive model of it, over histories at random: forks, joins, rosters, replays, lies.

The model is written from what was promised, one sentence a line, and shares no code with what it judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hentou.trust.acceptance import Head, RefusedError, Signed, Trust, accept
from hentou.trust.roster import Roster
from hentou.trust.statement import Statement

OURS, THEIRS = "0" * 32, "f" * 32
PEOPLE = ("anna", "bela", "clet", "denez")
KEYS = tuple(f"SHA256:{person}{number}" for person in PEOPLE for number in (1, 2))


@dataclass(frozen=True)
class Rules:
    """A roster as people speak of it: who signs with which keys, how many for a change, how many for this itself."""

    epoch: int
    few: int
    many: int
    keys: tuple[tuple[str, frozenset[str]], ...]

    def people(self, signatures: frozenset[str]) -> int:
        """Distinct persons, never keys."""
        return len({person for person, keys in self.keys for key in keys if key in signatures})

    def works(self) -> bool:
        every = [key for _, keys in self.keys for key in keys]
        alone = len(every) == len(set(every)) and all(keys for _, keys in self.keys)
        return alone and 1 <= self.few <= self.many <= len(self.keys)

    def real(self) -> Roster:
        return Roster(self.epoch, self.few, self.many, dict(self.keys))


@dataclass(frozen=True)
class Commit:
    """A head: what it descends from at once, and the roster in it."""

    parents: frozenset[str]
    rules: Rules


@dataclass
class Told:
    """A statement with the signatures that it has so far."""

    statement: Statement
    signatures: frozenset[str] = frozenset()


@dataclass
class Site:
    """One machine twice: by the model, and by the implementation."""

    rules: Rules
    sequence: int = 0
    newest: str = ""
    head: str = ""
    trust: Trust = field(init=False)
    past: list[Trust] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.trust = Trust(OURS, 0, "", "", self.rules.real())
        self.past.append(self.trust)

    def believes(self, told: Told, commits: dict[str, Commit]) -> bool:
        """Whether it should accept this, in the words of the promise."""
        said, now = told.statement, commits[told.statement.head].rules
        changes = now != self.rules or said.epoch != self.rules.epoch
        return all(
            (
                # a statement of this repository, for its one branch,
                said.repository == OURS,
                said.ref == "refs/heads/main",
                # continues the last one by exactly one step of sequence,
                said.sequence == self.sequence + 1,
                self.sequence == 0 or self.newest in said.previous,
                # descends from it,
                self.sequence == 0 or self.head in ancestry(said.head, commits),
                # and enough persons of the roster that is already trusted signed;
                self.rules.people(told.signatures) >= self.rules.few,
                # a roster change needs the old root threshold
                not changes or self.rules.people(told.signatures) >= self.rules.many,
                # and the new threshold of a roster that works,
                not changes or (now.works() and now.people(told.signatures) >= now.few),
                # one epoch at a time, and tells so.
                not changes or now.epoch == said.epoch == self.rules.epoch + 1,
            )
        )

    def take(self, told: Told, commits: dict[str, Commit]) -> bool:
        """Show it a statement: both must agree, and nothing may change where it is refused. Whether it was taken."""
        said, now = told.statement, commits[told.statement.head].rules
        descends = not self.head or self.head in ancestry(said.head, commits)
        expected, before = self.believes(told, commits), self.trust.json
        try:
            found = accept(self.trust, Signed(said, told.signatures), Head(descends, now.real()))
        except RefusedError as refused:
            assert not expected, f"refused ({refused.why}): {refused.message}"
            assert self.trust.json == before
            return False
        assert expected, "accepted, but it must not be"
        assert self.rules.people(told.signatures) >= self.rules.few
        self.rules, self.sequence, self.newest, self.head = now, said.sequence, said.digest, said.head
        self.trust = found
        self.past.append(found)
        return True


def ancestry(commit: str, commits: dict[str, Commit]) -> set[str]:
    """A commit with all that it descends from."""
    found: set[str] = set()
    left = [commit]
    while left:
        here = left.pop()
        if here not in found:
            found.add(here)
            left += commits[here].parents
    return found


def rules(epoch: st.SearchStrategy[int]) -> st.SearchStrategy[Rules]:
    """Rosters of which most work."""
    own = {person: frozenset(key for key in KEYS if person in key) for person in PEOPLE}
    people = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=4, unique=True)
    plain = st.builds(
        lambda at, few, more, names: Rules(at, few, few + more, tuple((name, own[name]) for name in sorted(names))),
        epoch, st.integers(1, 2), st.integers(0, 1), people,
    )  # fmt: skip
    odd = st.builds(
        lambda at, few, many, names, key: Rules(
            at, few, many, tuple((name, frozenset({key} if index else own[name])) for index, name in enumerate(names))
        ),
        epoch, st.integers(0, 3), st.integers(0, 3), people, st.sampled_from(KEYS),
    )  # fmt: skip
    return st.one_of(plain, plain, plain, odd)


ONE_PERSON = st.sampled_from(PEOPLE).map(lambda person: frozenset(key for key in KEYS if person in key))
SIGNATURES = st.one_of(
    st.just(frozenset(KEYS)), ONE_PERSON, st.frozensets(st.sampled_from([*KEYS, "SHA256:mallory"]), max_size=5)
)
FAULTS = ("", "gap", "again", "repository", "ref", "epoch", "hidden", "orphan", "previous")
START = Rules(1, 1, 2, tuple((name, frozenset({f"SHA256:{name}1", f"SHA256:{name}2"})) for name in PEOPLE[:3]))
SITES = 3
WHICH = st.integers(0, 10**6)


class Collective(RuleBasedStateMachine):
    """Three machines, and admins who sign whatever."""

    @initialize()
    def found(self) -> None:
        self.sites = [Site(START) for _ in range(SITES)]
        self.commits: dict[str, Commit] = {}
        self.told: list[Told] = []
        self.digests: dict[str, Told] = {}

    def _commit(self, parents: frozenset[str], there: Rules) -> str:
        name = f"{len(self.commits):040x}"
        self.commits[name] = Commit(parents, there)
        return name

    def _tell(self, statement: Statement, signatures: frozenset[str]) -> None:
        told = self.digests.setdefault(statement.digest, Told(statement))
        told.signatures |= signatures
        if told not in self.told:
            self.told.append(told)

    @rule(which=WHICH, all_hear=st.booleans())
    def advance(self, which: int, all_hear: bool) -> None:
        """What happens on a good day: the next step, signed by everybody, heard by one machine or by all."""
        base = self.sites[which % SITES]
        head = self._commit(frozenset({base.head} if base.head else ()), base.rules)
        previous = (base.newest,) if base.newest else ()
        statement = Statement(OURS, base.sequence + 1, previous, head, base.rules.epoch)
        self._tell(statement, frozenset(KEYS))
        for site in self.sites if all_hear else (base,):
            site.take(self.digests[statement.digest], self.commits)

    @rule(which=WHICH, fault=st.sampled_from(FAULTS), signatures=SIGNATURES, data=st.data())
    def publish(self, which: int, fault: str, signatures: frozenset[str], data: st.DataObject) -> None:
        """Sign the next step of one machine's history, or something close to it."""
        base = self.sites[which % SITES]
        there, epoch = base.rules, base.rules.epoch
        if fault == "hidden" or data.draw(st.integers(0, 3)) == 0:
            there = data.draw(rules(st.sampled_from([epoch, epoch + 1, epoch + 1, epoch + 1, epoch + 2])))
            epoch = epoch if fault == "hidden" else there.epoch
        parents = frozenset({base.head} if base.head and fault != "orphan" else ())
        sequence = base.sequence + 1 + {"gap": 1, "again": -1}.get(fault, 0)
        previous = () if sequence <= 1 else (base.newest or "9" * 64,)
        statement = Statement(
            THEIRS if fault == "repository" else OURS,
            max(sequence, 1),
            ("8" * 64,) if fault == "previous" and previous else previous,
            self._commit(parents, there),
            epoch + 1 if fault == "epoch" else epoch,
            **({"ref": "refs/heads/other"} if fault == "ref" else {}),
        )
        self._tell(statement, signatures)
        base.take(self.digests[statement.digest], self.commits)

    @rule(one=WHICH, other=WHICH, signatures=SIGNATURES)
    def join(self, one: int, other: int, signatures: frozenset[str]) -> None:
        """Sign a step that continues two histories at once."""
        ours, theirs = self.sites[one % SITES], self.sites[other % SITES]
        if not ours.sequence or ours.sequence != theirs.sequence:
            return
        head = self._commit(frozenset({ours.head, theirs.head}), ours.rules)
        previous = tuple(sorted({ours.newest, theirs.newest}))
        joined = Statement(OURS, ours.sequence + 1, previous, head, ours.rules.epoch)
        self._tell(joined, signatures)
        for site in (ours, theirs):
            site.take(self.digests[joined.digest], self.commits)

    @rule(which=WHICH, signatures=SIGNATURES)
    def cosign(self, which: int, signatures: frozenset[str]) -> None:
        """Others sign what was signed before."""
        if self.told:
            self.told[which % len(self.told)].signatures |= signatures

    @rule(site=WHICH, which=WHICH)
    def show(self, site: int, which: int) -> None:
        """A machine is given any statement, new or old."""
        if self.told:
            self.sites[site % SITES].take(self.told[which % len(self.told)], self.commits)

    @rule(site=WHICH)
    def heal(self, site: int) -> None:
        """A machine is given all that was ever said, newest first, until it accepts nothing more."""
        here = self.sites[site % SITES]
        while any(here.take(told, self.commits) for told in reversed(self.told)):
            pass

    @invariant()
    def one_step_at_a_time(self) -> None:
        for site in getattr(self, "sites", ()):
            for before, after in pairwise(site.past):
                assert after.sequence == before.sequence + 1
                assert after.roster.epoch - before.roster.epoch in (0, 1)
                assert (after.roster == before.roster) == (after.roster.epoch == before.roster.epoch)
                assert not after.roster.fault

    @invariant()
    def one_statement_is_one_state(self) -> None:
        """Machines at the same statement trust the same: there is no other memory."""
        seen: dict[str, bytes] = {}
        for site in getattr(self, "sites", ()):
            for trust in site.past[1:]:
                assert seen.setdefault(trust.statement, trust.json) == trust.json

    @invariant()
    def what_was_accepted_is_kept(self) -> None:
        for site in getattr(self, "sites", ()):
            assert site.trust.sequence == len(site.past) - 1
            assert Trust.parse(site.trust.json) == site.trust


Collective.TestCase.settings = settings(stateful_step_count=18)
TestCollective = Collective.TestCase


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Told], dict[str, Commit]]:
    """A history without forks: every step is rightly signed, and some change the roster."""
    told: list[Told] = []
    commits: dict[str, Commit] = {}
    site = Site(START)
    for number in range(draw(st.integers(1, 8))):
        there = site.rules
        if draw(st.booleans()):
            new = draw(rules(st.just(there.epoch + 1)))
            there = new if new.works() else there
        head = f"{number:040x}"
        commits[head] = Commit(frozenset({site.head} if site.head else ()), there)
        previous = (site.newest,) if site.newest else ()
        told.append(Told(Statement(OURS, number + 1, previous, head, there.epoch), frozenset(KEYS)))
        assert site.take(told[-1], commits)
    return told, commits


@given(histories(), st.data())
def test_in_any_order_machines_end_equal_or_one_is_behind(history: Any, data: st.DataObject) -> None:
    told, commits = history
    sites = [Site(START), Site(START)]
    for site in sites:
        for one in data.draw(st.lists(st.sampled_from(told), max_size=20)):
            site.take(one, commits)
    ahead, behind = sorted(sites, key=lambda site: -site.sequence)
    assert ahead.past[: len(behind.past)] == behind.past
    for site in sites:
        while any(site.take(one, commits) for one in data.draw(st.permutations(told))):
            pass
    assert sites[0].trust == sites[1].trust
    assert sites[0].sequence == len(told)


@given(histories(), SIGNATURES)
def test_without_enough_persons_nothing_is_accepted(history: Any, signatures: frozenset[str]) -> None:
    told, commits = history
    site = Site(START)
    for one in told[:-1]:
        assert site.take(one, commits)
    enough = site.rules.people(signatures) >= site.rules.few
    assert site.take(Told(told[-1].statement, signatures), commits) <= enough
