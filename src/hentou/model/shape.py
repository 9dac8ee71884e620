"""What the types say about a place in the data: its field, its type, the keys that could stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Model = type[BaseModel]
_MOST = 1500
"""Names among which a near one is looked for: the search takes time for each."""


def written_fields(model: Model) -> Mapping[str, FieldInfo]:
    """The fields that a person writes, by the key that they write: injected ones are left out."""
    return {info.alias or name: info for name, info in model.model_fields.items() if not is_injected(info)}


def is_injected(info: FieldInfo) -> bool:
    """Whether the loader fills this field from a file's name or a mapping's key."""
    return (info.alias or "").startswith("$")


def bare(annotation: Any) -> Any:
    """A type without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        others = [arg for arg in get_args(annotation) if arg is not NoneType]
        return bare(others[0]) if len(others) == 1 else annotation
    return annotation


def is_model(annotation: Any) -> bool:
    """Whether a bare type is one of ours, with fields of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def inner(annotation: Any) -> Any:
    """The type of the values of a mapping or the items of a list; None for anything else."""
    annotation = bare(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if not isinstance(origin, type) or not args:
        return None
    if issubclass(origin, Mapping):
        return args[1]
    return args[0] if issubclass(origin, Sequence | set | frozenset) else None


def choices(annotation: Any) -> tuple[str, ...]:
    """The words that may be written for an enumeration or a literal; none for another type."""
    annotation = bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(item.value) for item in annotation)
    if get_origin(annotation) is Literal:
        return tuple(str(item) for item in get_args(annotation))
    return ()


def at(model: Model, path: Sequence[str]) -> tuple[Any, FieldInfo | None]:
    """The type at a path of keys, and the last field on the way to it; None where the types end."""
    annotation: Any = model
    info: FieldInfo | None = None
    for key in path:
        annotation = bare(annotation)
        if is_model(annotation):
            info = written_fields(annotation).get(key)
            annotation = info.annotation if info else None
        else:
            annotation = inner(annotation)
    return bare(annotation), info


def example(info: FieldInfo) -> str:
    """How a value is written, if the type gives an example; an empty text otherwise."""
    written = (*(info.examples or ()), *_schema_of(info).get("examples", ()))
    return str(written[0]) if written else ""


def quantity(info: FieldInfo) -> str:
    """Whether a field is a `rate`, `size`, `power` or `duration`; an empty text for anything else."""
    return str(_schema_of(info).get("format", ""))


def pattern(info: FieldInfo) -> str:
    """The regular expression that a field's text must match; an empty text when there is none."""
    return pattern_of((*info.metadata, *marks(info.annotation)))


def pattern_of(constraints: Sequence[Any]) -> str:
    """The first regular expression among constraints."""
    return next((str(mark.pattern) for mark in constraints if getattr(mark, "pattern", None)), "")


def marks(annotation: Any) -> tuple[Any, ...]:
    """What a type is annotated with, also inside `| None`."""
    if get_origin(annotation) is Annotated:
        return get_args(annotation)[1:]
    if get_origin(annotation) in (Union, UnionType):
        return tuple(mark for arg in get_args(annotation) for mark in marks(arg))
    return ()


def _schema_of(info: FieldInfo) -> Mapping[str, Any]:
    found = (getattr(mark, "json_schema", None) for mark in (*info.metadata, *marks(info.annotation)))
    return next((schema for schema in found if schema), {})


def nearest(word: str, options: Sequence[str]) -> str | None:
    """The option that a misspelt word most likely meant."""
    if len(options) > _MOST:
        return None
    folded = {option.casefold().replace("_", "-"): option for option in options}
    found = get_close_matches(word.casefold().replace("_", "-"), folded, 1)
    return folded[found[0]] if found else None


def did_you_mean(word: str, options: Sequence[str], otherwise: str) -> str:
    """A hint that names the nearest option, or says something else when none is near."""
    near = nearest(word, sorted(options))
    return f"did you mean {near}?" if near else otherwise
