"""Data from a document as one of our types, with every misfit on the line where it is written."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hentou.errors import Problem
from hentou.model import shape
from hentou.model.words import tell
from hentou.model.yaml import Document, Path

M = TypeVar("M", bound=BaseModel)
_ENTRIES = ("machines", "services", "uplinks", "groups")
ENOUGH = 100
"""Misfits of one file that are told."""


def misfits(model: type[BaseModel], data: Any) -> list[ErrorDetails]:
    """Why data does not fit a type; nothing when it does."""
    return _validate(model, data)[1]


def validated(model: type[M], data: Any, document: Document, problems: list[Problem]) -> M | None:
    """Data as its type, and problems on the document's lines when it does not fit.

    Then the thing is what is left without the entries that are wrong, so that the rest of the file is still
    looked at; None where nothing sensible is left.
    """
    thing, errors = _validate(model, data)
    problems += [tell(error, model, document) for error in errors]
    return thing if thing or not _prune(data, errors) else _validate(model, data)[0]


def _prune(data: Any, errors: list[ErrorDetails]) -> bool:
    """Take the wrong entries out of data; False where that is not enough, as with a wrong `lan`.

    A whole machine or service goes, not only its wrong key: without it other rules would miss what is written.
    """
    for error in errors:
        path = [str(key) for key in error["loc"]]
        if error["type"] == "extra_forbidden":
            things, key = _inside(data, path[:-1]), path[-1]
        elif len(path) > 1 and path[0] in _ENTRIES:
            things, key = _inside(data, path[:1]), path[1]
        else:
            return False
        if isinstance(things, dict):
            things.pop(key, None)
    return True


def _inside(data: Any, path: list[str]) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _validate(model: type[M], data: Any) -> tuple[M | None, list[ErrorDetails]]:
    """Validate as JSON, strictly: there `yes` is no truth and "3" no number, yet a list fits a tuple."""
    try:
        return model.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        return None, [error for error in errors if not _is_dollar(error["loc"])][:ENOUGH]


def _is_dollar(loc: Path | tuple[int | str, ...]) -> bool:
    """Whether this is about a name that the loader fills in; what a person writes so is told apart."""
    return bool(loc) and str(loc[-1]).startswith("$")


def inject(model: type[BaseModel], data: Any, name: str, site: str = "") -> Any:
    """Data with what nobody writes: the names that follow from files and keys.

    A thing with nothing under its key, or a file with nothing in it, is an empty mapping.
    """
    if data is None:
        data = {}
    if not isinstance(data, dict):
        return data
    complete = dict(data)
    aliases = {info.alias for info in model.model_fields.values()}
    if "$name" in aliases:
        complete["$name"] = name
    if "$site" in aliases:
        complete["$site"] = site
    for key, info in shape.written_fields(model).items():
        item = shape.inner(info.annotation)
        if shape.is_model(item) and isinstance(complete.get(key), dict):
            things = complete[key].items()
            complete[key] = {inner: inject(item, value, inner, name) for inner, value in things}
    return complete
