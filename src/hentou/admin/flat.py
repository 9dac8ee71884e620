"""Change top-level keys of a YAML file line by line, so that a person's comments and order stay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hentou.errors import HentouError, InvalidCollectiveError, Problem
from hentou.model.yaml import parse

Value = str | tuple[str, ...] | None
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9 ./@_+-]*")
_COMMENT = re.compile(r"\s+#.*$")
_LONG_LINE = 100


def edit(file: str, data: bytes, changes: Mapping[str, Value]) -> bytes:
    """A file's bytes with these keys set: text, a list of texts, or None to remove the key.

    HentouError where that cannot be done without losing a comment or touching something else.
    """
    before = _read(file, data)
    wanted = {key: value for key, value in {**before, **_plain(changes)}.items() if value is not None}
    if wanted == before:
        return data
    lines = data.decode("utf-8-sig").splitlines()
    for key, value in changes.items():
        if before.get(key) != _plain({key: value})[key]:
            lines = _set(file, lines, key, value)
    edited = "".join(f"{line}\n" for line in lines).encode()
    if _read(file, edited) != wanted:
        raise _refusal(file)
    return edited


def _read(file: str, data: bytes) -> dict[str, object]:
    problems: list[Problem] = []
    document = parse(file, data, problems)
    if document is None or problems:
        raise InvalidCollectiveError(tuple(problems))
    if document.data is None:
        return {}
    if not isinstance(document.data, dict):
        raise _refusal(file)
    return document.data


def _plain(changes: Mapping[str, Value]) -> dict[str, object]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in changes.items()}


def _set(file: str, lines: list[str], key: str, value: Value) -> list[str]:
    start = next((number for number, line in enumerate(lines) if re.match(rf"{re.escape(key)}\s*:(\s|$)", line)), None)
    if start is None:
        return [*lines, *_written(key, value)]
    end = start + 1
    for number in range(end, len(lines)):
        if re.match(r"[^\s#-]", lines[number]):
            break
        if lines[number].startswith((" ", "-")):  # a comment or blank line may belong to what follows
            end = number + 1
    old = lines[start:end]
    remark = _COMMENT.search(old[0])
    if len(old) > 1 and any("#" in line for line in old):
        raise _refusal(file)
    new = _written(key, value)
    if remark and new:
        new[0] += remark[0]
    elif remark:
        raise _refusal(file)
    return [*lines[:start], *new, *lines[end:]]


def _written(key: str, value: Value) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [f"{key}: {_scalar(value)}"]
    flow = f"{key}: [{', '.join(map(_scalar, value))}]"
    if len(flow) <= _LONG_LINE:
        return [flow]
    return [f"{key}:", *_items(value)]


def _items(values: Sequence[str]) -> list[str]:
    return [f"  - {_scalar(value)}" for value in values]


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.strip() == text and text.lower() not in ("true", "false", "null"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _refusal(file: str) -> HentouError:
    return HentouError(f"{file} cannot be changed without losing what is written there", "change it by hand")
