"""Change roster.yaml line by line, so that its comments and order stay; pure text in, text out.

Every change is read again and compared with what was meant: where lines cannot say it, nothing is written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import Any

from hentou.errors import HentouError, InvalidCollectiveError, Problem
from hentou.model.draft import ROSTER
from hentou.model.yaml import Document, parse

_ITEM = re.compile(r"\s*-\s+")


def set_number(data: bytes, key: str, value: int) -> bytes:
    """Set `epoch`, `threshold` or `root_threshold`; a new one comes before all others."""
    document = _read(data)
    wanted = {**document.data, key: value}
    lines = _lines(data)
    if place := document.keys.get((key,)):
        line = place[0] - 1
        lines[line] = re.sub(r"(:\s*)[^\s#]+", rf"\g<1>{value}", lines[line], count=1)
    else:
        first = min((line for path, (line, _) in document.keys.items() if len(path) == 1), default=1)
        lines.insert(first - 1, f"{key}: {value}")
    return _checked(lines, wanted)


def add_key(data: bytes, person: str, key: str) -> bytes:
    """Add a key to a person, who is added when new, at the end."""
    document = _read(data)
    wanted = copy.deepcopy(document.data)
    admins = wanted.setdefault("admins", {})
    if not isinstance(admins, dict) or not isinstance(admins.setdefault(person, []), list):
        raise _refusal()
    admins[person].append(key)
    lines = _lines(data)
    items = _items(document, person)
    if items:
        line, column = items[-1]
        lines.insert(line, f"{_prefix(lines, line, column)}{key}")
    else:
        at, block = _new_block(document, lines, person, key)
        lines[at:at] = block
    return _checked(lines, wanted)


def _new_block(document: Document, lines: list[str], person: str, key: str) -> tuple[int, list[str]]:
    """Where a new person comes, and the lines."""
    people = [name for name in document.mapping("admins") if _items(document, name)]
    if person in document.mapping("admins"):
        raise _refusal()
    if not people:
        at = document.keys[("admins",)][0] if ("admins",) in document.keys else len(lines)
        start = [] if ("admins",) in document.keys else ["admins:"]
        return at, [*start, f"  {person}:", f"    - {key}"]
    line, column = max(_items(document, name)[-1] for name in people)
    indent = " " * (document.keys[("admins", people[0])][1] - 1)
    return line, [f"{indent}{person}:", f"{_prefix(lines, line, column)}{key}"]


def drop_keys(data: bytes, person: str, keys: Iterable[str]) -> bytes:
    """Remove keys of a person, who keeps at least one."""
    document, gone = _read(data), set(keys)
    wanted = copy.deepcopy(document.data)
    listed = wanted["admins"][person]
    places = _items(document, person)
    if len(places) != len(listed):
        raise _refusal()
    out = {line for (line, _), key in zip(places, listed, strict=True) if key in gone}
    wanted["admins"][person] = [key for key in listed if key not in gone]
    return _checked([text for number, text in enumerate(_lines(data), 1) if number not in out], wanted)


def drop_person(data: bytes, person: str) -> bytes:
    """Remove a person with all keys."""
    document = _read(data)
    wanted = copy.deepcopy(document.data)
    del wanted["admins"][person]
    first = document.keys[("admins", person)][0]
    last = max([first, *(line for line, _ in _items(document, person))])
    return _checked([text for number, text in enumerate(_lines(data), 1) if not first <= number <= last], wanted)


def _read(data: bytes) -> Document:
    problems: list[Problem] = []
    document = parse(ROSTER, data, problems)
    if document is None or problems:
        raise InvalidCollectiveError(tuple(problems))
    if not isinstance(document.data, dict):
        raise _refusal()
    return document


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8-sig").splitlines()


def _items(document: Document, person: str) -> list[tuple[int, int]]:
    """Where each key of a person stands: line and column from 1; none where they are not written one a line."""
    keys = document.mapping("admins").get(person)
    if not isinstance(keys, list):
        return []
    count = len(keys)
    places = [document.values[("admins", person, str(number))] for number in range(count)]
    lines = {line for line, _ in places} | {document.keys[("admins", person)][0]}
    return places if len(lines) == count + 1 else []


def _prefix(lines: list[str], line: int, column: int) -> str:
    """What stands before an item of a list: its indentation and hyphen."""
    prefix = lines[line - 1][: column - 1]
    if not _ITEM.fullmatch(prefix):
        raise _refusal()
    return prefix


def _checked(lines: list[str], wanted: dict[str, Any]) -> bytes:
    data = "".join(f"{line}\n" for line in lines).encode()
    try:
        if _read(data).data == wanted:
            return data
    except InvalidCollectiveError:
        pass
    raise _refusal()


def _refusal() -> HentouError:
    hint = "change it by hand: one person a line, one key a line under it, and epoch one higher"
    return HentouError("roster.yaml is written in a way that cannot be changed line by line", hint)
