"""Journals in Git: what is appended, what is taken in from others, and what is refused and noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_world import Pen, moment

from hentou.effects.gitstore import GitStore
from hentou.effects.process import run
from hentou.errors import HentouError
from hentou.ledger import entries as entries_module
from hentou.ledger import ingest as ingest_module
from hentou.ledger import journals
from hentou.ledger.entries import write
from hentou.ledger.journals import Fault, Ingested, Journal
from hentou.trust.journal import Entry, Kind, Standing, key_id

pytestmark = pytest.mark.integration


@pytest.fixture
def pen(tmp_path: Path) -> Pen:
    return Pen.at(tmp_path, "kerminy-1")


@pytest.fixture
def target(tmp_path: Path) -> GitStore:
    return GitStore.init(tmp_path / "target.git")


def take(target: GitStore, pen: Pen) -> Ingested:
    return journals.ingest(target, pen.store, pen.journal.ref, pen.public)


def scratch(pen: Pen, tip: str, name: str = "scratch") -> Pen:
    """Another store with the same key, whose journal stands at `tip`: what a restored or a hostile machine has."""
    store = GitStore.init(pen.store.path.parent / f"{name}.git")
    assert not store.fetch(pen.store.path, [f"{tip}:{pen.journal.ref}"], seconds=60, size=2**28)
    return Pen(pen.machine, pen.key, pen.public, store)


def test_entries_are_signed_commits_that_git_itself_can_check(pen: Pen, tmp_path: Path) -> None:
    pen.write(2)
    last = pen.last
    assert last
    assert (last.entry.sequence, last.entry.text, last.entry.at) == (2, "entry 2", moment(2))
    allowed = tmp_path / "allowed"
    allowed.write_text(f"kerminy-1 {pen.public}\n")
    git = ["git", "--git-dir", pen.store.path, "-c", f"gpg.ssh.allowedSignersFile={allowed}"]
    run([*git, "verify-commit", last.commit])
    said = run([*git, "log", "-1", "--format=%an %ae %cI %G?", last.commit]).stdout
    assert said == f"kerminy-1 kerminy-1@hentou {moment(2)} G\n"


def test_entries_are_told_newest_first_and_within_bounds(pen: Pen) -> None:
    pen.write(5)
    ref = pen.journal.ref
    assert [kept.entry.sequence for kept in journals.entries(pen.store, ref, 3)] == [5, 4, 3]
    assert [kept.entry.sequence for kept in journals.entries(pen.store, ref, 9, since=moment(4))] == [5, 4]
    assert not list(journals.entries(pen.store, ref, 9, about="kerminy-1"))
    journals.append(pen.store, pen.machine, pen.key, kind=Kind.CHANGELOG, text="x", at=moment(6), about="nas")
    found = journals.entries(pen.store, "refs/hentou/journals/*", 9, about="nas")
    assert [kept.entry.text for kept in found] == ["x"]


def test_what_continues_is_taken_in_and_once(pen: Pen, target: GitStore) -> None:
    pen.write(3)
    assert take(target, pen) == Ingested({"kerminy-1": 3})
    assert take(target, pen) == Ingested()
    pen.write(30)
    assert take(target, pen) == Ingested({"kerminy-1": 30})
    assert target.get(pen.journal.ref) == pen.tip
    assert journals.newest(target, "kerminy-1", pen.public) == pen.last
    assert not target.git("fsck", "--strict").stdout


def test_a_peer_that_is_behind_changes_nothing(pen: Pen, target: GitStore) -> None:
    old = pen.write(3)
    behind = scratch(pen, old)
    pen.write(2)
    take(target, pen)
    assert take(target, behind) == Ingested()
    assert target.get(pen.journal.ref) == pen.tip


def test_a_fork_freezes(pen: Pen, target: GitStore) -> None:
    base = pen.write(3)
    other = scratch(pen, base)
    ours, theirs = pen.write(1, "one"), other.write(2, "two")
    take(target, pen)
    found = take(target, other)
    assert [(alarm.machine, alarm.fault) for alarm in found.alarms] == [("kerminy-1", Fault.FORKED)]
    assert target.refs("refs/hentou/forks") == {
        f"{pen.journal.forks}/ours": ours,
        f"{pen.journal.forks}/theirs": theirs,
    }
    assert target.get(pen.journal.ref) == ours
    pen.write(1)
    assert take(target, pen) == Ingested()
    assert target.get(pen.journal.ref) == ours
    assert not target.git("fsck", "--strict").stdout


def test_a_journal_begun_anew_under_the_same_key_is_a_fork(pen: Pen, target: GitStore, tmp_path: Path) -> None:
    pen.write(3)
    take(target, pen)
    again = Pen(pen.machine, pen.key, pen.public, GitStore.init(tmp_path / "again.git"))
    again.write(1, "anew")
    assert [alarm.fault for alarm in take(target, again).alarms] == [Fault.FORKED]


def test_a_frozen_journal_is_not_written(pen: Pen) -> None:
    tip = pen.write(1)
    pen.store.update({f"{pen.journal.forks}/ours": tip, f"{pen.journal.forks}/theirs": tip})
    with pytest.raises(HentouError, match="the journal of kerminy-1 is frozen"):
        pen.write(1)


def test_entries_of_another_key_are_refused_and_noticed(pen: Pen, target: GitStore, tmp_path: Path) -> None:
    pen.write(2)
    take(target, pen)
    mallory = Pen.at(tmp_path, "vps-1")
    forged = scratch(pen, pen.tip)
    entry = Entry("kerminy-1", 3, moment(3), Kind.DETACHED, "lies")
    tip = write(forged.store, entry, mallory.key, pen.tip)
    forged.store.update({pen.journal.ref: tip})
    found = take(target, forged)
    assert [alarm.text("vps-1") for alarm in found.alarms] == [
        "vps-1 serves entries in the journal of kerminy-1 that kerminy-1 did not sign"
    ]
    assert target.get(pen.journal.ref) == pen.tip


def test_garbage_is_refused(pen: Pen, target: GitStore) -> None:
    pen.write(2)
    take(target, pen)
    good = pen.tip
    for message in (b"not an entry", Entry("vps-1", 3, moment(3), Kind.REPORT, "x").json):
        junk = pen.store.write_commit({}, [good], message.decode())
        pen.store.update({pen.journal.ref: junk})
        assert [alarm.fault for alarm in take(target, pen).alarms] == [Fault.FORGED]
    # An altered entry keeps the signature of the one that it was made from.
    data = pen.store.raw("commit", good).replace(b"entry 2", b"entry 9")
    altered = pen.store.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=data).stdout.strip()
    pen.store.update({pen.journal.ref: altered})
    assert [alarm.fault for alarm in take(target, pen).alarms] == [Fault.FORGED]
    assert target.get(pen.journal.ref) == good


@pytest.mark.parametrize("sequence", [2, 4])
def test_numbers_that_repeat_or_skip_are_refused(pen: Pen, target: GitStore, sequence: int) -> None:
    pen.write(2)
    take(target, pen)
    good = pen.tip
    tip = write(pen.store, Entry("kerminy-1", sequence, moment(9), Kind.REPORT, "x"), pen.key, good)
    pen.store.update({pen.journal.ref: tip})
    found = take(target, pen)
    assert [alarm.fault for alarm in found.alarms] == [Fault.BROKEN]
    assert "a number is missing or given twice" in found.alarms[0].text("vps-1")
    assert target.get(pen.journal.ref) == good


def test_a_wrong_number_inside_a_chain_is_found(pen: Pen, target: GitStore) -> None:
    tip = pen.write(1)
    for sequence in (3, 3):
        tip = write(pen.store, Entry("kerminy-1", sequence, moment(9), Kind.REPORT, "x"), pen.key, tip)
    pen.store.update({pen.journal.ref: tip})
    assert [alarm.fault for alarm in take(target, pen).alarms] == [Fault.BROKEN]
    assert not target.refs("refs")


def test_an_entry_that_is_too_long_is_not_taken(pen: Pen, target: GitStore) -> None:
    pen.write(1)
    take(target, pen)
    with pytest.raises(HentouError, match="where at most 65536 are taken"):
        pen.write(1, "long " * 20000)
    assert pen.last
    assert pen.last.entry.sequence == 1


def test_no_journal_but_that_of_a_members_present_key(pen: Pen, target: GitStore, tmp_path: Path) -> None:
    pen.write(2)
    other = Pen.at(tmp_path, "vps-1")
    assert journals.ingest(target, pen.store, pen.journal.ref, other.public) == Ingested()
    nobody = journals.ingest_all(target, pen.store, {pen.journal: pen.tip}, {"vps-1": other.public})
    assert nobody == Ingested()
    assert not target.refs("refs")


def test_another_journals_tip_under_a_name_changes_nothing(pen: Pen, target: GitStore, tmp_path: Path) -> None:
    other = Pen.at(tmp_path, "vps-1")
    for one in (pen, other):
        one.write(2)
        take(target, one)
    keys = {"kerminy-1": pen.public, "vps-1": other.public}
    found = journals.ingest_all(target, target, {pen.journal: other.tip}, keys)
    assert [alarm.fault for alarm in found.alarms] == [Fault.FORGED]
    assert target.get(pen.journal.ref) == pen.tip


def test_what_does_not_fit_comes_with_the_next_go(pen: Pen, target: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    pen.write(5)
    monkeypatch.setattr(ingest_module, "MOST_ENTRIES", 2)
    assert [take(target, pen).new for _ in range(4)] == [{"kerminy-1": 2}, {"kerminy-1": 2}, {"kerminy-1": 1}, {}]
    assert target.get(pen.journal.ref) == pen.tip


def test_a_hole_in_one_journal_keeps_no_other_out(pen: Pen, target: GitStore, tmp_path: Path) -> None:
    other = Pen.at(tmp_path, "vps-1")
    pen.write(3)
    other.write(2)
    assert not pen.store.fetch(other.store.path, [f"{other.tip}:{other.journal.ref}"], seconds=60, size=2**28)
    offers = {pen.journal: pen.tip, other.journal: other.tip}
    middle = pen.store.parents(pen.tip)[0]
    (pen.store.path / "objects" / middle[:2] / middle[2:]).unlink()
    found = journals.ingest_all(target, pen.store, offers, {"kerminy-1": pen.public, "vps-1": other.public})
    assert found.new == {"vps-1": 2}
    assert target.refs("refs") == {other.journal.ref: other.tip}


def test_somebody_else_writes_at_the_same_moment(pen: Pen, monkeypatch: pytest.MonkeyPatch) -> None:
    pen.write(1)
    real, rivals = entries_module.write, [2]

    def slow(store: GitStore, entry: Entry, key: Path, parent: str) -> str:
        if rivals:
            rivals.pop()
            pen.write(1, "rival")
        return real(store, entry, key, parent)

    monkeypatch.setattr(entries_module, "write", slow)
    pen.write(1, "mine")
    texts = [kept.entry.text for kept in journals.entries(pen.store, pen.journal.ref, 9)]
    assert texts == ["mine 2", "rival 2", "entry 1"]


def test_a_power_cut_between_commit_and_ref_leaves_the_number_free(pen: Pen, target: GitStore) -> None:
    pen.write(1)
    write(pen.store, Entry("kerminy-1", 2, moment(2), Kind.REPORT, "lost"), pen.key, pen.tip)
    assert pen.last
    assert pen.last.entry.sequence == 1
    pen.write(1)
    assert take(target, pen) == Ingested({"kerminy-1": 2})


def test_newest_of_prefers_the_present_key(pen: Pen, tmp_path: Path) -> None:
    pen.write(1)
    journals.append(pen.store, "kerminy-1", pen.key, kind=Kind.REPORT, text="far", at="2099-01-01T00:00:00+00:00")
    new = Pen.at(tmp_path / "new", "kerminy-1")
    anew = Pen("kerminy-1", new.key, new.public, pen.store)
    anew.write(1, "new", Standing(sequence=7))
    assert journals.newest_of(pen.store, {"kerminy-1": new.public})["kerminy-1"].entry.text == "new 1"
    assert journals.newest_of(pen.store, {})["kerminy-1"].entry.text == "far"
    assert journals.tips(pen.store).keys() == {pen.journal, Journal("kerminy-1", key_id(new.public))}
