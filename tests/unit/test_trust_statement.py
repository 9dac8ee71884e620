"""Statements have one spelling, and nothing else is read as one."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hentou.trust.canonical import NotCanonicalError, decode, encode
from hentou.trust.statement import LONGEST, BadStatementError, Statement

RECORD: dict[str, Any] = {
    "format": "hentou statement 1",
    "repository": "0123456789abcdef" * 2,
    "ref": "refs/heads/main",
    "sequence": 7,
    "previous": ["a" * 64],
    "head": "b" * 40,
    "epoch": 3,
}
PLAIN = encode(RECORD)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def spelt(**changes: Any) -> bytes:
    """The record with changes, canonically; a key set to None goes."""
    return encode({key: value for key, value in {**RECORD, **changes}.items() if value is not None})


def test_a_statement_is_read_as_it_was_written() -> None:
    found = Statement.parse(PLAIN)
    assert found == Statement(RECORD["repository"], 7, ("a" * 64,), "b" * 40, 3)
    assert found.data == PLAIN
    assert found.digest == sha256(PLAIN).hexdigest()


BAD_SPELLING = {
    "empty": b"",
    "a byte too many": PLAIN + b"\n",
    "a byte too many before": b" " + PLAIN,
    "a second object behind": PLAIN + PLAIN,
    "spaces": json.dumps(RECORD, sort_keys=True).encode(),
    "keys in another order": json.dumps(RECORD, separators=(",", ":")).encode(),
    "a key twice": PLAIN.replace(b'"epoch":3', b'"epoch":1,"epoch":3'),
    "a float": PLAIN.replace(b'"epoch":3', b'"epoch":3.0'),
    "an exponent": PLAIN.replace(b'"epoch":3', b'"epoch":3e0'),
    "not a number": PLAIN.replace(b'"epoch":3', b'"epoch":NaN'),
    "infinity": PLAIN.replace(b'"epoch":3', b'"epoch":-Infinity'),
    "minus zero": PLAIN.replace(b'"epoch":3', b'"epoch":-0'),
    "a leading zero": PLAIN.replace(b'"epoch":3', b'"epoch":03'),
    "an escape without need": PLAIN.replace(b'"refs/', b'"\\u0072efs/'),
    "an escaped slash": PLAIN.replace(b"refs/heads", b"refs\\/heads"),
    "a lone surrogate, escaped": PLAIN.replace(b"refs/", b"\\ud800efs/"),
    "a lone surrogate, as bytes": PLAIN.replace(b"refs/", b"\xed\xa0\x80efs/"),
    "no UTF-8": PLAIN.replace(b"refs/", b"\xffefs/"),
    "an overlong slash": PLAIN.replace(b"refs/", b"refs\xc0\xaf"),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "UTF-32": PLAIN.decode().encode("utf-32-be"),
    "deep nesting": b'{"previous":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "deep nesting that never closes": b"[" * LONGEST,
    "a list": b"[]",
    "a text": b'"statement"',
    "nothing": b"null",
    "zero bytes": b"\0" * 100,
    "too long": spelt(ref="r" * LONGEST),
}


@pytest.mark.parametrize("case", BAD_SPELLING)
def test_another_spelling_is_no_statement(case: str) -> None:
    assert BAD_SPELLING[case] != PLAIN
    with pytest.raises(BadStatementError):
        Statement.parse(BAD_SPELLING[case])


BAD_FIELDS: dict[str, dict[str, Any]] = {
    "another format": {"format": "hentou statement 2"},
    "no format": {"format": None},
    "no repository": {"repository": None},
    "no ref": {"ref": None},
    "no previous": {"previous": None},
    "one field more": {"date": "2027-01-31"},
    "a property as a field": {"data": "x"},
    "a short repository": {"repository": "0123"},
    "a repository in capitals": {"repository": "ABCDEF0123456789" * 2},
    "a repository with a newline behind": {"repository": "0123456789abcdef" * 2 + "\n"},
    "a repository in other digits": {"repository": "\u0661" * 32},
    "a ref that is no text": {"ref": 7},
    "sequence 0": {"sequence": 0, "previous": []},
    "a negative sequence": {"sequence": -1},
    "a huge sequence": {"sequence": 2**53},
    "a sequence beyond all integers": {"sequence": 10**3000},
    "a sequence that is true": {"sequence": True, "previous": []},
    "a sequence as text": {"sequence": "7"},
    "epoch 0": {"epoch": 0},
    "an epoch that is true": {"epoch": True},
    "an epoch as a list": {"epoch": [3]},
    "a head of no known length": {"head": "b" * 41},
    "a head that is an option": {"head": "--upload-pack=/bin/sh"},
    "a head with a path": {"head": "b" * 40 + ":roster.yaml"},
    "a head in capitals": {"head": "B" * 40},
    "previous as a text": {"previous": "a" * 64},
    "previous as an object": {"previous": {"a" * 64: 1}},
    "previous of numbers": {"previous": [1]},
    "previous of lists": {"previous": [["a" * 64]]},
    "a short digest": {"previous": ["a" * 63]},
    "previous twice the same": {"previous": ["a" * 64, "a" * 64]},
    "previous in another order": {"previous": ["b" * 64, "a" * 64]},
    "a first statement that continues one": {"sequence": 1},
    "a later statement that continues none": {"previous": []},
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_wrong_fields_are_no_statement(case: str) -> None:
    with pytest.raises(BadStatementError):
        Statement.parse(spelt(**BAD_FIELDS[case]))


def test_heads_of_both_kinds_of_repositories_are_known() -> None:
    assert Statement.parse(spelt(head="c" * 64)).head == "c" * 64


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_what_is_encoded_is_decoded_to_the_same(value: dict[str, Any]) -> None:
    try:
        data = encode(value)
    except UnicodeEncodeError:
        return
    assert decode(data, len(data)) == value
    with pytest.raises(NotCanonicalError):
        decode(data, len(data) - 1)


@given(st.data())
def test_one_changed_byte_is_another_statement_or_none(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(PLAIN) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != PLAIN[place]))
    changed = PLAIN[:place] + bytes([byte]) + PLAIN[place + 1 :]
    try:
        found = Statement.parse(changed)
    except BadStatementError:
        return
    assert found.data == changed
    assert found.digest != Statement.parse(PLAIN).digest


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(BadStatementError):
        Statement.parse(data)


@given(st.dictionaries(st.sampled_from([*RECORD, "date"]), VALUES, max_size=7))
def test_no_fields_break_the_reader(changes: dict[str, Any]) -> None:
    try:
        data = encode({**RECORD, **changes})
    except UnicodeEncodeError:
        return
    with suppress(BadStatementError):
        assert Statement.parse(data).data == data
