"""From a repository's files to a `Collective`, or to every problem that keeps it from being one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar, get_args

from pydantic import BaseModel

from hentou.errors import HentouError, InvalidCollectiveError, Problem
from hentou.model import secret_rules, shape
from hentou.model.check import check
from hentou.model.draft import AUTHORITY, COLLECTIVE, ROSTER, Draft, is_file_of, stem
from hentou.model.types import (
    Collective,
    CollectiveSpec,
    Keys,
    Name,
    Person,
    Pointer,
    Roster,
    Secret,
    Site,
    Tree,
)  # fmt: skip
from hentou.model.validate import inject, validated
from hentou.model.yaml import LARGEST, Document, parse

FOLDERS = {"sites": Site, "people": Person, "keys": Keys, "secrets": Secret}
"""Folders with one YAML file for each thing, and what a file holds."""

_NAME = re.compile(get_args(Name)[1].pattern)
_LONGEST_NAME = 30
M = TypeVar("M", bound=BaseModel)


def load(tree: Tree, features: Mapping[str, type[BaseModel]], recipes: Mapping[str, type[BaseModel]]) -> Collective:
    """The collective in a repository, wholly checked.

    `features` and `recipes` give the settings model of each by name. InvalidCollectiveError holds every
    problem, in the order of files and lines.
    """
    draft = read(tree)
    check(draft, features, recipes)
    if draft.problems or draft.spec is None or draft.roster is None:
        raise InvalidCollectiveError(tuple(sorted(set(draft.problems))))
    return Collective(
        draft.spec,
        draft.roster,
        draft.people,
        draft.sites,
        draft.keys,
        draft.authority,
        tree,
        {pointer: place for document in draft.documents.values() for pointer, place in _places(document)},
        draft.secrets,
    )


def _places(document: Document) -> Iterator[tuple[Pointer, tuple[int, int]]]:
    for path, position in document.values.items():
        yield Pointer(document.file, path), document.keys.get(path, position)


def read_roster(data: bytes) -> Roster:
    """A roster.yaml alone; InvalidCollectiveError holds what is wrong with it."""
    problems: list[Problem] = []
    document = parse(ROSTER, data, problems)
    roster = validated(Roster, inject(Roster, document.data, "roster"), document, problems) if document else None
    if problems or roster is None:
        raise InvalidCollectiveError(tuple(sorted(set(problems))))
    return roster


def read(tree: Tree) -> Draft:
    """All that can be understood of a repository file by file, without looking from one to another."""
    strays = dict(tree.strays())
    draft = Draft(frozenset(tree.files()), frozenset(strays))
    draft.problems += [
        Problem(path, 0, 0, f"{what}: hentou reads regular files only", "put a regular file there, or remove it")
        for path, what in strays.items()
    ]
    draft.problems += [problem for file in sorted(draft.files) for problem in _misplaced(file)]
    draft.spec = _read(draft, tree, COLLECTIVE, CollectiveSpec)
    draft.roster = _read(draft, tree, ROSTER, Roster)
    for file in sorted(draft.files):
        if is_file_of("sites", file) and (site := _read(draft, tree, file, Site)):
            draft.sites[stem(file)] = site
        elif is_file_of("people", file) and (person := _read(draft, tree, file, Person)):
            draft.people[stem(file)] = person
        elif is_file_of("keys", file) and (keys := _read(draft, tree, file, Keys)):
            draft.keys[stem(file)] = keys
        elif is_file_of("secrets", file) and (secret := _read(draft, tree, file, Secret)):
            draft.secrets[stem(file)] = secret
    draft.problems += secret_rules.values(tree, draft.files)
    draft.authority = _authority(draft, tree)
    return draft


def _misplaced(file: str) -> Iterator[Problem]:
    """Problems of a path: a file that nobody would ever read, although its author meant it to be."""
    folder, _, rest = file.rpartition("/")
    top = file.partition("/")[0]
    if not file.endswith((".yaml", ".yml")):
        return
    if folder in FOLDERS or (not folder and shape.nearest(stem(file), ["collective", "roster"])):
        if file.endswith(".yml"):
            right = file.removesuffix(".yml") + ".yaml"
            yield Problem(file, 0, 0, "a name in .yml: not read", f"rename it to {right}")
        elif folder and not is_name(stem(file)):
            hint = "use lower-case letters, digits and single hyphens, a letter first; at most 30"
            yield Problem(file, 0, 0, f"{stem(file)!r} is not a name", f"rename the file: {hint}")
        elif not folder and file not in (COLLECTIVE, ROSTER):
            meant = shape.nearest(stem(file), ["collective", "roster"])
            yield Problem(file, 0, 0, "not read by hentou", f"rename it to {meant}.yaml")
    elif top in FOLDERS:
        yield Problem(file, 0, 0, f"in a folder inside {top}/: not read", f"move it to {top}/{rest}")
    elif folder == top and (near := shape.nearest(folder, list(FOLDERS))):
        yield Problem(file, 0, 0, f"in a folder called {folder}/: not read", f"move it to {near}/{rest}")


def is_name(text: str) -> bool:
    """Whether a text may name a site, a machine, a person…"""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def _read(draft: Draft, tree: Tree, file: str, model: type[M]) -> M | None:
    """One file's content; None, and its problems in the draft, when it is not valid."""
    if file in draft.strays:
        return None
    if file not in draft.files:
        hint = "is this a collective's repository? docs/tutorial shows one from the start"
        draft.problems.append(Problem(file, 0, 0, "this file is missing", hint))
        return None
    try:
        raw = tree.read(file, LARGEST)
    except HentouError as error:
        draft.problems.append(Problem(file, 0, 0, error.message.removeprefix(f"{file} "), error.hint))
        return None
    document = parse(file, raw, draft.problems)
    if document is None:
        return None
    draft.documents[file] = document
    draft.problems += _dollar_keys(document)
    return validated(model, inject(model, document.data, stem(file)), document, draft.problems)


def _dollar_keys(document: Document) -> Iterator[Problem]:
    for path in document.keys:
        if path[-1].startswith("$"):
            yield document.key(path, f"unknown key {path[-1]!r}", "remove it: names never start with $")


def _authority(draft: Draft, tree: Tree) -> str | None:
    if AUTHORITY not in draft.files:
        return None
    try:
        text = tree.read(AUTHORITY, LARGEST).decode("ascii")
    except (HentouError, UnicodeDecodeError):
        text = ""
    if "-----BEGIN CERTIFICATE-----" not in text:
        hint = "put the certificate of the collective's authority there, in PEM"
        draft.problems.append(Problem(AUTHORITY, 0, 0, "not a certificate in PEM", hint))
        return None
    return text
