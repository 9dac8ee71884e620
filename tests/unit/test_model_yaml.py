"""YAML as a person means it, with positions, and nothing hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hentou.errors import Problem
from hentou.model.yaml import DEEPEST, LARGEST, MOST, Document, parse


def read(text: str | bytes) -> Document:
    problems: list[Problem] = []
    document = parse("x.yaml", text.encode() if isinstance(text, str) else text, problems)
    assert not problems
    assert document is not None
    return document


def refused(text: str | bytes) -> list[Problem]:
    problems: list[Problem] = []
    parse("x.yaml", text.encode() if isinstance(text, str) else text, problems)
    assert problems
    return problems


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0123", 123),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("12:34:56:78", "12:34:56:78"),
        ("2027-01-18", "2027-01-18"),
        ("1.5", 1.5),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("9" * 5000, "9" * 5000),
        ("800k", "800k"),
        ("50G", "50G"),
        ("15 W", "15 W"),
        ("192.168.1.240", "192.168.1.240"),
        ("'12'", "12"),
        ('"true"', "true"),
        ('"1\\n2"', "1\n2"),
        ("=", "="),
    ],
)
def test_what_a_word_means(written: str, meant: object) -> None:
    found = read(f"key: {written}\n").data["key"]
    assert found == meant
    assert type(found) is type(meant)


def test_positions_of_keys_and_values() -> None:
    document = read("machines:\n  kerminy-1:\n    roles: [web,\n      mail]\n    arch:   arm64\n")
    path = ("machines", "kerminy-1")
    assert document.keys[path] == (2, 3)
    assert document.values[path] == (3, 5)
    assert document.values[(*path, "roles", "1")] == (4, 7)
    assert document.keys[(*path, "arch")] == (5, 5)
    assert document.values[(*path, "arch")] == (5, 13)


def test_columns_count_characters_and_a_byte_order_mark_is_no_character() -> None:
    assert read("\N{ZERO WIDTH NO-BREAK SPACE}{'à': é, b: c}\n").keys["b",] == (1, 10)


def test_line_ends_of_other_systems() -> None:
    assert read(b"a: 1\r\nb: 2\r\n").keys["b",] == (2, 1)


def test_what_is_in_quotes_may_hold_line_ends_and_backslashes_of_a_block() -> None:
    assert read("pem: |\n  one\n  \ttwo\n").data == {"pem": "one\n\ttwo\n"}


def test_an_empty_file_is_nothing() -> None:
    assert read("# nothing yet\n").data is None


def test_a_billion_laughs_are_refused_at_the_first() -> None:
    laughs = "a: &a [ha, ha]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "&a names a place for aliases" in refused(laughs)[0].message


def test_a_long_file_is_refused_without_being_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "parse")
    (problem,) = refused(b"a: [" + b"x, " * 3_500_000 + b"]")
    assert str(problem).startswith(f"x.yaml: larger than {LARGEST:,} bytes")


def test_a_file_of_too_many_values_is_not_read_to_its_end() -> None:
    (problem,) = refused("a: [" + "1, " * 300_000 + "]")
    assert problem.message == f"more than {MOST:,} values in one file"


def test_problems_without_end_are_not_told_to_their_end() -> None:
    found = refused("a: [" + "*a, " * 200_000 + "]")
    assert len(found) == 101
    assert found[-1].message == "too many problems to read on"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_depth_ends_the_reading(opening: str) -> None:
    (problem,) = refused(opening * 10_000)
    assert problem.message == f"nested deeper than {DEEPEST} levels"


def test_depth_by_indentation() -> None:
    text = "".join(f"{' ' * depth}a:\n" for depth in range(1000))
    assert refused(text)[0].line == DEEPEST + 1


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xfe\x00\x00",
        b"a: \x80\n",
        b"a: \x00\n",
        b"a: \x1b[2J\n",
        b'a: "\\ud800"\n',
        b'a: "\\x00"\n',
        "a: \N{RIGHT-TO-LEFT OVERRIDE}b\n".encode(),
        b"%YAML 9.9\n---\na: b\n",
        b"? [a]\n: b\n",
        b"a: !!binary aGVsbG8=\n",
        b"a: b: c\n",
        b"a: @b\n",
        b"a: 'b\n",
        b"*a\n",
        b"&a b\n",
    ],
)
def test_what_is_refused(hostile: bytes) -> None:
    for problem in refused(hostile):
        assert problem.message
        assert problem.hint
        assert "\x1b" not in str(problem)


def test_the_column_of_bytes_that_are_not_utf_8() -> None:
    (problem,) = refused(b"title: a\nplace: Finist\xe8re\n")
    assert (problem.line, problem.column) == (2, 14)


def test_a_long_line_is_cut_and_a_far_column_shown_without_it() -> None:
    (near,) = refused(f"a: &b {'x' * 300}\n")
    assert near.source.endswith("…")
    (far,) = refused(f"{{{'x' * 300}: &a b}}\n")
    assert not far.source


# Unassigned, private and control characters are left out: JSON writes them as they are, YAML refuses some.
TEXT = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


@given(DATA)
def test_json_reads_as_itself(data: Any) -> None:
    assert read(json.dumps(data, ensure_ascii=False)).data == data


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
def test_no_text_breaks_the_reader(raw: bytes) -> None:
    problems: list[Problem] = []
    document = parse("x.yaml", raw, problems)
    assert document is not None or problems
    for problem in problems:
        assert problem.line >= 0
        assert str(problem)
