"""Whole files of one machine that `overrides/MACHINE/…` of the repository puts in place of what features wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hentou.errors import InvalidCollectiveError, Problem
from hentou.generation.fragment import LARGEST_FILE, File, Fragment
from hentou.model.types import Pointer, Tree

FOLDER = "overrides/"


def by_machine(tree: Tree) -> dict[str, tuple[str, ...]]:
    """The repository's override files, by machine."""
    found: dict[str, list[str]] = {}
    for path in tree.files():
        if path.startswith(FOLDER):
            machine, _, rest = path.removeprefix(FOLDER).partition("/")
            if rest:
                found.setdefault(machine, []).append(path)
    return {machine: tuple(paths) for machine, paths in found.items()}


def override(tree: Tree, files: Sequence[str], fragments: Sequence[Fragment]) -> tuple[Fragment, ...]:
    """Fragments with the content of the overridden files replaced; owner and mode stay as they were.

    InvalidCollectiveError for an override of a file that nothing writes: it would never leave the machine by itself.
    """
    contents = {_place(file): (file, tree.read(file, LARGEST_FILE)) for file in files}
    written = {file.path for fragment in fragments for file in fragment.files}
    problems = tuple(
        Problem(file, 0, 0, f"nothing writes {path} on this machine", "remove this override, or correct its path")
        for path, (file, _) in contents.items()
        if path not in written
    )
    if problems:
        raise InvalidCollectiveError(problems)
    return tuple(
        replace(fragment, files=tuple(_replaced(item, contents) for item in fragment.files)) for fragment in fragments
    )


def _place(file: str) -> str:
    return "/" + file.removeprefix(FOLDER).partition("/")[2]


def _replaced(item: File, contents: dict[str, tuple[str, bytes]]) -> File:
    if item.path not in contents:
        return item
    file, content = contents[item.path]
    return replace(item, content=content, because=(Pointer(file),), copied_from=file)
