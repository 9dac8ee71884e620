"""Attacks on what a machine trusts: each is refused with its reason, and nothing changes.

With fingerprints alone; `test_trust_chain` does the like from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from hentou.trust.acceptance import Head, RefusedError, Signed, Trust, Why, accept, examine
from hentou.trust.roster import Roster
from hentou.trust.statement import Statement

REPOSITORY = "0123456789abcdef" * 2
ANNA, ANNA_TOO, BELA, CLET, DENEZ = "SHA256:anna", "SHA256:anna-too", "SHA256:bela", "SHA256:clet", "SHA256:denez"
OLD, NEW = "1" * 40, "2" * 40

THREE = Roster(4, 2, 3, {"anna": frozenset({ANNA, ANNA_TOO}), "bela": frozenset({BELA}), "clet": frozenset({CLET})})
TRUST = Trust(REPOSITORY, 7, "d" * 64, OLD, THREE)


def statement(**changes: Any) -> Statement:
    """The next one, with changes."""
    plain: dict[str, Any] = {
        "repository": REPOSITORY, "sequence": 8, "previous": ("d" * 64,), "head": NEW, "epoch": 4
    }  # fmt: skip
    return Statement(**{**plain, **changes})


def roster(**changes: Any) -> Roster:
    """The trusted one, one epoch on, with changes."""
    return replace(THREE, epoch=5, **changes)


@dataclass(frozen=True)
class Attack:
    """What is tried; by default all is right but what is given."""

    why: Why
    keys: Iterable[str] = (ANNA, BELA)
    made: Statement = field(default_factory=statement)
    head: Head = Head(True, THREE)  # noqa: RUF009 - frozen
    trust: Trust = TRUST


ALL = (ANNA, BELA, CLET)
WITHOUT_CLET = {person: keys for person, keys in THREE.admins.items() if person != "clet"}
ONLY_DENEZ = {"denez": frozenset({DENEZ})}
WITH_DENEZ = {**THREE.admins, "denez": frozenset({DENEZ})}

ATTACKS = {
    "unsigned": Attack(Why.UNSIGNED, ()),
    "a wrong key": Attack(Why.STRANGER, ("SHA256:mallory",)),
    "many wrong keys": Attack(Why.STRANGER, [f"SHA256:mallory-{number}" for number in range(64)]),
    "one person, where two must sign": Attack(Why.WAITING, (ANNA,)),
    "one person with two keys, where two must sign": Attack(Why.WAITING, (ANNA, ANNA_TOO)),
    "one person and a stranger": Attack(Why.WAITING, (ANNA, "SHA256:mallory")),
    "a removed admin beside one who is left": Attack(
        Why.WAITING, (ANNA, CLET), trust=replace(TRUST, roster=replace(THREE, root_threshold=2, admins=WITHOUT_CLET))
    ),
    "a removed admin alone": Attack(
        Why.STRANGER, (CLET,), trust=replace(TRUST, roster=replace(THREE, root_threshold=2, admins=WITHOUT_CLET))
    ),
    "an older statement again": Attack(Why.REPLAYED, made=statement(sequence=6, previous=("c" * 64,), head=OLD)),
    "the first statement again": Attack(Why.REPLAYED, made=statement(sequence=1, previous=(), head=OLD)),
    "another statement of the accepted step": Attack(Why.FORKED, made=statement(sequence=7, previous=("c" * 64,))),
    "the next step of another branch": Attack(Why.FORKED, made=statement(previous=("e" * 64,))),
    "the next step of many other branches": Attack(Why.FORKED, made=statement(previous=("a" * 64, "e" * 64))),
    "a skipped step": Attack(Why.SKIPPED, made=statement(sequence=9)),
    "a step beyond all others": Attack(Why.SKIPPED, made=statement(sequence=2**53 - 1)),
    "a second first statement": Attack(
        Why.SKIPPED, made=statement(sequence=2), trust=replace(TRUST, sequence=0, statement="", head="")
    ),
    "another collective": Attack(Why.ANOTHER_COLLECTIVE, made=statement(repository="f" * 32)),
    "another ref": Attack(Why.ANOTHER_REF, made=statement(ref="refs/heads/pilot")),
    "another ref of almost the same name": Attack(Why.ANOTHER_REF, made=statement(ref="refs/heads/main\u200b")),
    "a head that does not descend": Attack(Why.NOT_DESCENDING, head=Head(False, THREE)),
    "a head that does not descend, with everybody's word": Attack(
        Why.NOT_DESCENDING, ALL, statement(epoch=5), Head(False, roster())
    ),
    "the roster shrunk without the root threshold": Attack(
        Why.WAITING, (ANNA, BELA), statement(epoch=5), Head(True, roster(root_threshold=2, admins=WITHOUT_CLET))
    ),
    "the threshold lowered without the root threshold": Attack(
        Why.WAITING, (ANNA, BELA), statement(epoch=5), Head(True, roster(threshold=1))
    ),
    "a new roster that only new people sign": Attack(
        Why.STRANGER, (DENEZ,), statement(epoch=5), Head(True, roster(threshold=1, admins=ONLY_DENEZ))
    ),
    "the roster changed without its epoch": Attack(Why.ROSTER, ALL, head=Head(True, replace(THREE, threshold=1))),
    "a key added without an epoch": Attack(
        Why.ROSTER, ALL, head=Head(True, replace(THREE, admins={**THREE.admins, "anna": frozenset({ANNA})}))
    ),
    "a person renamed without an epoch": Attack(
        Why.ROSTER, ALL, head=Head(True, replace(THREE, admins={**WITHOUT_CLET, "cletus": frozenset({CLET})}))
    ),
    "an epoch skipped": Attack(Why.EPOCH, ALL, statement(epoch=6), Head(True, replace(THREE, epoch=6))),
    "an epoch skipped in the head alone": Attack(
        Why.EPOCH, ALL, statement(epoch=5), Head(True, replace(THREE, epoch=6))
    ),
    "an epoch of the past": Attack(Why.EPOCH, ALL, statement(epoch=3), Head(True, replace(THREE, epoch=3))),
    "a roster of the past": Attack(Why.EPOCH, ALL, head=Head(True, replace(THREE, epoch=3))),
    "a change of the roster that the statement hides": Attack(Why.EPOCH, ALL, head=Head(True, roster(threshold=1))),
    "a change of the roster that only the statement tells": Attack(Why.EPOCH, ALL, statement(epoch=5)),
    "the new roster's threshold not met": Attack(
        Why.WAITING, ALL, statement(epoch=5),
        Head(True, roster(threshold=4, root_threshold=4, admins=WITH_DENEZ)),
    ),
    "a new roster with nobody who signed": Attack(
        Why.WAITING, ALL, statement(epoch=5),
        Head(True, roster(threshold=1, root_threshold=1, admins=ONLY_DENEZ)),
    ),
    "a new roster with one key for two people": Attack(
        Why.ROSTER, ALL, statement(epoch=5), Head(True, roster(admins={**THREE.admins, "clone": frozenset({ANNA})}))
    ),
    "a new roster of which more must sign than there are": Attack(
        Why.ROSTER, ALL, statement(epoch=5), Head(True, roster(root_threshold=4))
    ),
    "a new roster whose change needs less than any other": Attack(
        Why.ROSTER, ALL, statement(epoch=5), Head(True, roster(root_threshold=1))
    ),
    "a new roster without anybody": Attack(
        Why.ROSTER, ALL, statement(epoch=5), Head(True, roster(threshold=0, root_threshold=0, admins={}))
    ),
    "a new roster of which nobody must sign": Attack(
        Why.ROSTER, ALL, statement(epoch=5), Head(True, roster(threshold=0))
    ),
    "a new roster with somebody who has no key": Attack(
        Why.ROSTER, ALL, statement(epoch=5), Head(True, roster(admins={**THREE.admins, "denez": frozenset()}))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACKS)
def test_refused_with_its_reason(case: str) -> None:
    attack = ATTACKS[case]
    before = attack.trust.json
    with pytest.raises(RefusedError) as refused:
        accept(attack.trust, Signed(attack.made, frozenset(attack.keys)), attack.head)
    assert refused.value.why is attack.why, refused.value.message
    assert refused.value.message.isprintable()
    assert attack.trust.json == before


def test_what_is_right_is_accepted() -> None:
    made = statement()
    found = accept(TRUST, Signed(made, frozenset({ANNA, BELA})), Head(True, THREE))
    assert found == Trust(REPOSITORY, 8, made.digest, NEW, THREE)


def test_the_very_same_statement_again_changes_nothing() -> None:
    made = statement()
    signed = Signed(made, frozenset({ANNA, BELA}))
    found = accept(TRUST, signed, Head(True, THREE))
    with pytest.raises(RefusedError) as refused:
        accept(found, signed, Head(True, THREE))
    assert refused.value.why is Why.REPLAYED


def test_one_admin_alone_works() -> None:
    alone = Roster(1, 1, 1, {"anna": frozenset({ANNA})})
    made = Statement(REPOSITORY, 1, (), NEW, 1)
    found = accept(Trust(REPOSITORY, 0, "", "", alone), Signed(made, frozenset({ANNA})), Head(True, alone))
    assert (found.sequence, found.head) == (1, NEW)


def test_the_old_root_threshold_and_the_new_threshold_change_the_roster() -> None:
    new = roster(threshold=3, root_threshold=4, admins=WITH_DENEZ)
    made = statement(epoch=5)
    found = accept(TRUST, Signed(made, frozenset(ALL)), Head(True, new))
    assert found.roster == new
    with pytest.raises(RefusedError) as refused:
        accept(TRUST, Signed(made, frozenset({ANNA, BELA, DENEZ})), Head(True, new))
    assert refused.value.why is Why.WAITING


def test_who_was_removed_by_a_step_signs_nothing_after_it() -> None:
    smaller = roster(root_threshold=2, admins=WITHOUT_CLET)
    made = statement(epoch=5)
    found = accept(TRUST, Signed(made, frozenset(ALL)), Head(True, smaller))
    after = statement(sequence=9, previous=(made.digest,), epoch=5, head="3" * 40)
    with pytest.raises(RefusedError) as refused:
        accept(found, Signed(after, frozenset({BELA, CLET})), Head(True, smaller))
    assert refused.value.why is Why.WAITING


def test_a_join_is_the_next_step_of_each_branch() -> None:
    ours, theirs = TRUST, replace(TRUST, statement="e" * 64, head="3" * 40)
    made = statement(previous=("d" * 64, "e" * 64))
    signed = Signed(made, frozenset({ANNA, BELA}))
    assert accept(ours, signed, Head(True, THREE)) == accept(theirs, signed, Head(True, THREE))


def test_nothing_of_a_stranger_is_judged() -> None:
    """Not even whether it is for this collective: else a stranger could learn what is trusted here."""
    with pytest.raises(RefusedError) as refused:
        examine(TRUST, Signed(statement(repository="f" * 32, sequence=99, epoch=9), frozenset({"SHA256:mallory"})))
    assert refused.value.why is Why.STRANGER


def test_trust_is_kept_and_read_again() -> None:
    assert Trust.parse(TRUST.json) == TRUST
    fresh = Trust(REPOSITORY, 0, "", "", THREE)
    assert Trust.parse(fresh.json) == fresh


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(format="hentou trust 2"),
        lambda record: record.pop("roster"),
        lambda record: record.update(more=1),
        lambda record: record.update(sequence="7"),
        lambda record: record.update(sequence=True),
        lambda record: record.update(sequence=-1),
        lambda record: record.update(sequence=0),
        lambda record: record.update(statement=""),
        lambda record: record.update(head=""),
        lambda record: record.update(head=None),
        lambda record: record["roster"].update(threshold=0),
        lambda record: record["roster"].update(root_threshold=1),
        lambda record: record["roster"].update(admins={}),
        lambda record: record["roster"]["admins"].update(clone=[ANNA]),
        lambda record: record.update(roster=[]),
    ],
)
def test_a_damaged_trust_opens_no_door(change: Callable[[dict[str, Any]], object]) -> None:
    import json

    record = json.loads(TRUST.json)
    change(record)
    with pytest.raises(ValueError, match=r"trust|roster"):
        Trust.parse(json.dumps(record).encode())
