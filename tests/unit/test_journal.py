"""What a journal's entry is, what follows from two standings, and what may reach a terminal. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hentou.trust.canonical import encode
from hentou.trust.journal import BadEntryError, Entry, Kind, Standing, entry_of, events, printable, take_apart

STANDING = Standing(sequence=4, head="a" * 40, failed={"b" * 40: "page: no"}, held=("/etc/motd",), detached={"by": "x"})
ENTRY = Entry("kerminy-1", 7, "2027-03-01T12:00:00+00:00", Kind.REPORT, "text", STANDING, "nas", "yuna", {"n": 1})


def changed(**fields: object) -> bytes:
    return encode(json.loads(ENTRY.json) | fields)


def test_an_entry_is_read_as_it_was_written() -> None:
    assert Entry.parse(ENTRY.json) == ENTRY
    plain = Entry("kerminy-1", 1, "2027", Kind.ALARM, "x")
    assert Entry.parse(plain.json) == plain
    assert b"standing" in plain.json
    assert b"about" not in plain.json


def test_what_a_newer_hentou_writes_is_still_heard() -> None:
    found = Entry.parse(changed(kind="teleported", mood="good", standing={"sequence": 4, "aura": ["green"]}))
    assert (found.kind, found.text, found.standing) == (Kind.UNKNOWN, "text", Standing(sequence=4))


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "hentou journal 2"}, {"sequence": 0}, {"sequence": True}, {"sequence": "1"}, {"sequence": 2**60},
        {"machine": 1}, {"text": None}, {"kind": 3}, {"kind": ["report"]}, {"standing": []}, {"at": {}},
        {"standing": {"sequence": "4"}}, {"standing": {"held": "x"}}, {"standing": {"failed": ["x"]}}, {"data": []},
    ],
)  # fmt: skip
def test_what_is_no_entry_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadEntryError):
        Entry.parse(changed(**fields))


@pytest.mark.parametrize("name", ["machine", "sequence", "at", "kind", "text", "standing", "format"])
def test_what_lacks_a_field_is_refused(name: str) -> None:
    record = json.loads(ENTRY.json)
    del record[name]
    with pytest.raises(BadEntryError):
        Entry.parse(encode(record))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b'{"a": 1}', b"[" * 60000, ENTRY.json + b" ", b"1" * 70000]
)
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(BadEntryError):
        Entry.parse(data)


@given(st.binary(max_size=400))
def test_a_commit_of_any_bytes_is_taken_apart_or_refused(data: bytes) -> None:
    try:
        entry_of(take_apart(data), "kerminy-1")
    except BadEntryError:
        return
    raise AssertionError(data)


def commit(*, tree: str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904", parents: int = 1, entry: Entry = ENTRY) -> bytes:
    lines = [f"tree {tree}", *[f"parent {'c' * 40}"] * parents, "author x", "committer x"]
    return "\n".join(lines).encode() + b"\n\n" + entry.json + b"\n"


def test_a_commit_of_a_journal_has_one_parent_and_no_files() -> None:
    assert entry_of(take_apart(commit()), "kerminy-1") == ENTRY
    for wrong in (commit(tree="d" * 40), commit(parents=0), commit(parents=2)):
        with pytest.raises(BadEntryError):
            entry_of(take_apart(wrong), "kerminy-1")
    with pytest.raises(BadEntryError, match="an entry of kerminy-1 in the journal of vps-1"):
        entry_of(take_apart(commit()), "vps-1")


standings = st.builds(
    Standing,
    sequence=st.integers(0, 3),
    head=st.sampled_from(["", "a" * 40, "b" * 40]),
    active=st.sampled_from(["", "a" * 40, "b" * 40]),
    active_sequence=st.integers(0, 3),
    generation=st.sampled_from(["", "c" * 64, "d" * 64]),
    failed=st.dictionaries(st.sampled_from(["a" * 40, "b" * 40]), st.just("why"), max_size=2),
    undone=st.sampled_from(["", "a" * 40]),
    held=st.sampled_from([(), ("/etc/motd",)]),
    refused=st.sampled_from(["", "unsigned", "skipped"]),
    detached=st.sampled_from([{}, {"by": "x", "why": "y"}]),
    alarms=st.sampled_from([(), ("one",), ("one", "two")]),
    down=st.sampled_from([(), ("a.service",)]),
)


@given(standings, standings)
def test_a_difference_is_told_and_no_difference_is_not(before: Standing, now: Standing) -> None:
    assert events(now, now) == []
    found = events(before, now)
    assert bool(found) == (before != now)
    assert len({kind for kind, _, _ in found} & {Kind.DETACHED, Kind.ATTACHED}) < 2
    assert sum(kind is Kind.REPORT for kind, _, _ in found) <= 1
    assert all(Entry("m", 1, "t", kind, text, now, data=data).json for kind, text, data in found)


@given(standings)
def test_a_standing_is_read_as_it_was_written(standing: Standing) -> None:
    assert Standing.parse(json.loads(json.dumps(standing.record))) == standing


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({}, {"generation": "g" * 64, "active": "a" * 40, "active_sequence": 5}, "activated step 5 (aaaaaaaaaaaa)"),
        ({"generation": "f"}, {"generation": "g" * 64}, "activated generation gggggggggggg"),
        (
            {"generation": "g", "active": "b" * 40, "active_sequence": 6},
            {"generation": "f", "active": "a" * 40, "active_sequence": 5},
            "went back to step 5 (aaaaaaaaaaaa)",
        ),
        ({}, {"sequence": 5, "head": "a" * 40}, "accepted step 5 (aaaaaaaaaaaa)"),
        ({"detached": {"by": "x"}}, {}, "follows the collective again"),
        ({}, {"detached": {"by": "x", "why": "y", "until": "z"}}, "detached by x: y, until z"),
        ({}, {"down": ("a.service", "b.service")}, "down: a.service, b.service"),
        ({"down": ("a.service",)}, {}, "every unit is up again"),
        ({"held": ("/etc/motd",)}, {}, "no hand edits any more"),
        ({"alarms": ("one", "two")}, {"alarms": ("two",)}, "over: one"),
        ({"refused": "x"}, {}, "stands as told here"),
    ],
)
def test_what_is_told(before: dict[str, Any], now: dict[str, Any], told: str) -> None:
    assert [text for _, text, _ in events(Standing(**before), Standing(**now))] == [told]


def test_what_an_entry_says_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[31mb\rc\nd\u202ee\x9bf\u2066g\xa0!") == "a\ufffd[31mb c d\ufffde\ufffdf\ufffdg !"
    assert printable("é ğ 漢 😀") == "é ğ 漢 😀"
    assert printable("x" * 50, 10) == "x" * 9 + "…"


@given(st.text())
def test_what_is_printed_is_one_line_of_harmless_characters(text: str) -> None:
    found = printable(text, 80)
    assert len(found) <= 80
    assert all(char.isprintable() or char == " " for char in found)
