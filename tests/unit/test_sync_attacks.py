"""Attacks on a machine through its inbox: each refused with its reason, and nothing of what is trusted changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sync_world import Author, Machine, founded, roster_yaml

from hentou.ledger.statements import Kept
from hentou.trust.acceptance import Why

pytestmark = pytest.mark.integration

Attack = Callable[[Author], Kept]


def unsigned(author: Author) -> Kept:
    return author.sign(author.statement(author.head({"a": b"1"})))


def wrong_key(author: Author) -> Kept:
    return author.sign(author.statement(author.head({"a": b"1"})), "mallory")


def replay(author: Author) -> Kept:
    return author.chain[0]


def fork(author: Author) -> Kept:
    author.chain.pop()
    return author.publish(files={"other": b"way"})


def fork_ahead(author: Author) -> Kept:
    author.chain.pop()
    author.publish(files={"other": b"way"})
    return author.publish()


def skip(author: Author) -> Kept:
    return author.sign(author.statement(author.head({"a": b"1"}), sequence=5), "ann")


def roster_without_epoch(author: Author) -> Kept:
    head = author.head({"roster.yaml": roster_yaml("ann", "mallory")})
    return author.sign(author.statement(head), "ann")


def another_collective(author: Author) -> Kept:
    return author.sign(author.statement(author.head({"a": b"1"}), repository="cd" * 16), "ann")


def another_ref(author: Author) -> Kept:
    return author.sign(author.statement(author.head({"a": b"1"}), ref="refs/heads/other"), "ann")


def back_dated(author: Author) -> Kept:
    """By a removed key, dated in its time: dates count for nothing."""
    tree = author.store.git("rev-parse", f"{author.chain[-1].statement.head}^{{tree}}").stdout.strip()
    old = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "x"), ("EMAIL", "x@x"), ("DATE", "2001-01-01T00:00:00Z"))}  # fmt: skip
    words = ("commit-tree", tree, "-p", author.chain[-1].statement.head, "-m", "old")
    head = author.store.git(*words, env=old).stdout.strip()
    return author.sign(author.statement(head), "mallory")


def not_descending(author: Author) -> Kept:
    return author.sign(author.statement(author.head({"a": b"1"}, parent="")), "ann")


def no_roster(author: Author) -> Kept:
    head = author.store.write_commit({"a": b"1"}, [author.chain[-1].statement.head])
    return author.sign(author.statement(head), "ann")


def junk(author: Author) -> Kept:
    head = author.head({"a": b"1"})
    commit = author.store.write_commit({"statement.json": b"{" * 4000})
    return Kept(commit, author.statement(head), {})


def epoch_ahead(author: Author) -> Kept:
    head = author.head({"roster.yaml": roster_yaml("ann", epoch=3)})
    return author.sign(author.statement(head, epoch=3), "ann")


ATTACKS: dict[Attack, Why] = {
    unsigned: Why.UNSIGNED,
    wrong_key: Why.STRANGER,
    replay: Why.REPLAYED,
    fork: Why.FORKED,
    fork_ahead: Why.FORKED,
    skip: Why.SKIPPED,
    roster_without_epoch: Why.ROSTER,
    another_collective: Why.ANOTHER_COLLECTIVE,
    another_ref: Why.ANOTHER_REF,
    back_dated: Why.STRANGER,
    not_descending: Why.NOT_DESCENDING,
    no_roster: Why.ROSTER,
    junk: Why.MALFORMED,
    epoch_ahead: Why.EPOCH,
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_refused_with_a_reason_and_nothing_changed(attack: Attack, tmp_path: Path) -> None:
    author, trust = founded(tmp_path / "ann")
    machine = Machine(tmp_path / "machine")
    machine.pin(trust)
    for _ in range(2):
        author.publish()
    author.push(machine, author.chain[-1])
    machine.sync()
    before, activated = machine.frozen(), list(machine.activated)
    good = list(author.chain)

    kept = attack(author)
    author.push(machine, kept, "mallory")
    report = machine.sync()
    refused = machine.remembered["refused"]
    assert isinstance(refused, dict)
    assert (refused["why"], refused["from"]) == (str(ATTACKS[attack]), "inbox mallory")
    assert refused["message"]
    assert report.refused
    assert report.accepted == 0
    assert machine.frozen() == before
    assert machine.activated == activated
    assert machine.trusted.repo.get("refs/hentou/fetched/head") == ""

    # It is dropped, said once, and the next good step is possible.
    written = machine.at("sync.json").stat()
    assert not machine.sync().refused
    author.push(machine, kept, "mallory")
    machine.sync()
    assert machine.at("sync.json").stat().st_ino == written.st_ino
    author.chain = good
    author.push(machine, author.publish())
    assert machine.sync().accepted == 1


def people(tmp_path: Path, **how: object) -> tuple[Author, Machine]:
    author, trust = founded(tmp_path / "ann", "ann", "bob", "cyd", threshold=2, **how)  # type: ignore[arg-type]
    machine = Machine(tmp_path / "machine")
    machine.pin(trust)
    author.push(machine, author.publish("ann", "bob"))
    assert machine.sync().accepted == 1
    return author, machine


def test_one_person_with_two_keys_is_one_person(tmp_path: Path) -> None:
    author, machine = people(tmp_path, ann=("ann", "ann-phone"))
    before = machine.frozen()
    kept = author.sign(author.statement(author.head({"a": b"1"})), "ann", "ann-phone")
    author.push(machine, kept)
    machine.sync()
    assert machine.frozen() == before
    assert machine.remembered["refused"] == {}
    assert any("1 of the 2 persons" in line for line in machine.told)
    # It waits, and a second person's signature, pushed apart, is enough.
    author.push(machine, author.sign(kept.statement, "bob"), "bob")
    assert machine.sync().accepted == 1


def test_an_admin_who_was_removed(tmp_path: Path) -> None:
    author, machine = people(tmp_path)
    author.roster = roster_yaml("bob", "cyd", threshold=2, epoch=2)
    author.push(machine, author.publish("bob", "cyd", epoch=2))
    assert machine.sync().accepted == 1
    assert sorted(machine.trust.roster.admins) == ["bob", "cyd"]
    before = machine.frozen()
    kept = author.sign(author.statement(author.head({"a": b"1"})), "ann")
    author.push(machine, kept)
    machine.sync()
    assert machine.remembered["refused"]["why"] == str(Why.STRANGER)  # type: ignore[index]
    assert machine.frozen() == before


def test_a_roster_shrunk_without_the_root_threshold(tmp_path: Path) -> None:
    author, machine = people(tmp_path, root=3)
    before = machine.frozen()
    author.roster = roster_yaml("ann", "bob", threshold=2, root=2, epoch=2)
    kept = author.sign(author.statement(author.head({"a": b"1"}), epoch=2), "ann", "bob")
    author.push(machine, kept)
    machine.sync()
    assert machine.frozen() == before
    assert any("2 of the 3 persons that a change of the roster needs" in line for line in machine.told)
    # The same under the old epoch is no way round.
    kept = author.sign(author.statement(author.head({"a": b"1"})), "ann", "bob")
    author.push(machine, kept)
    machine.sync()
    assert machine.remembered["refused"]["why"] == str(Why.EPOCH)  # type: ignore[index]
    assert machine.frozen() == before
