"""Take one entry out of a mapping in a YAML file, line by line, so that everything else stays as a person wrote it."""

from __future__ import annotations

from hentou.errors import HentouError, InvalidCollectiveError, Problem
from hentou.model.yaml import Document, parse


def without(file: str, data: bytes, mapping: str, name: str) -> bytes:
    """A file's bytes without the entry `name` of the top-level mapping, and without the mapping if that was all.

    Comments right above the entry go with it. HentouError where lines alone cannot tell what belongs to it.
    """
    document = _read(file, data)
    path = (mapping,) if len(document.mapping(mapping)) == 1 else (mapping, name)
    if (mapping, name) not in document.keys or document.keys[mapping, name][0] == document.keys[mapping,][0]:
        raise _by_hand(file, name)
    lines = data.decode("utf-8-sig").splitlines(keepends=True)
    start, column = document.keys[path]
    end = _end(lines, start, column)
    start -= 1
    while start and lines[start - 1].startswith(f"{' ' * (column - 1)}#"):
        start -= 1
    left = "".join([*lines[:start], *lines[end:]]).encode()
    wanted = dict(document.data)
    wanted[mapping] = {key: value for key, value in wanted[mapping].items() if key != name}
    if _read(file, left).data != {key: value for key, value in wanted.items() if key != mapping or value}:
        raise _by_hand(file, name)
    return left


def _end(lines: list[str], start: int, column: int) -> int:
    """The first line, from 0, that is not the entry's any more; blank lines before it are left to what follows."""
    end = start
    for number in range(start, len(lines)):
        text = lines[number].lstrip(" ")
        if not text.strip():
            continue
        if len(lines[number]) - len(text) < column:
            break
        end = number + 1
    return end


def _read(file: str, data: bytes) -> Document:
    problems: list[Problem] = []
    document = parse(file, data, problems)
    if document is None or problems:
        raise InvalidCollectiveError(tuple(problems))
    if not isinstance(document.data, dict):
        raise HentouError(f"{file} is no mapping", "correct it by hand")
    return document


def _by_hand(file: str, name: str) -> HentouError:
    return HentouError(f"{name} cannot be taken out of {file} without touching what else is there", "do it by hand")
