"""The reference of every key that a collective's files may hold, in Markdown, from the types themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hentou.model import shape
from hentou.model.schema import KINDS, Models
from hentou.model.words import forms

_FILES: Final = {
    "collective": "collective.yaml",
    "roster": "roster.yaml",
    "secret": "secrets/NAME.yaml",
    "site": "sites/NAME.yaml",
    "person": "people/NAME.yaml",
    "keys": "keys/MACHINE.yaml",
}
_HEAD: Final = """\
# The files of a collective

Written by `make reference` from the types that read the files.

Every key that may be written, file by file. `hentou check` reports anything else, and
`hentou schema` gives the same to editors. In the first column, **bold** means that the key must be there.

- A **name** is made of lower-case letters, digits and single hyphens, starts with a letter, and has at most
  30 characters.
- A **rate** is in bits per second and a **size** in bytes, with k, M, G or T (powers of 1000): `800k`, `50G`.
- **Watts** carry their unit: `15 W`. So does a **duration**: `30s`, `5min`, `2h`, `7d`.
- Files are YAML in UTF-8, at most 1 MB each, without anchors, aliases or tags. `yes`, `no`, `on`, `off`,
  dates and `1:30` are plain text: only `true` and `false` are truths.
"""
_SIMPLE: Final = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    IPv4Address: "IPv4 address",
    IPv6Address: "IPv6 address",
    IPv4Network: "IPv4 network",
    Any: "as the feature or recipe defines it",
}
_UNITS: Final = {"power": " W", "duration": "s"}
_QUANTITIES: Final = {"rate": "rate", "size": "size", "power": "watts", "duration": "duration"}


def reference(features: Models, recipes: Models) -> str:
    """The whole page: the files, then the settings of each feature and recipe given."""
    parts = [_HEAD]
    for kind, model in KINDS.items():
        parts.append(f"## {_FILES[kind]}\n\n{_summary(model)}\n\n{_table(model)}")
        parts += [f"### {heading}\n\n{_summary(part)}\n\n{_table(part)}" for heading, part in _parts(model, ())]
    parts += [
        "## Settings of features: `features.NAME`, in collective.yaml or a site's file\n",
        *_settings(features),
    ]
    parts += ["## Settings of recipes: `services.NAME.settings`, in a site's file\n", *_settings(recipes)]
    return "\n".join(parts)


def _settings(models: Models) -> Iterator[str]:
    for name, model in sorted(models.items()):
        keys = _table(model) if shape.written_fields(model) else "There is nothing to set.\n"
        yield f"### {name}\n\n{keys}"
        yield from (f"#### {name}: {way}\n\n{_table(part)}" for way, part in _parts(model, ()))


def _summary(model: type[object]) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def _parts(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every type inside a type, with how people write the way to it."""
    for key, info in shape.written_fields(model).items():
        item, annotation = shape.inner(info.annotation), shape.bare(info.annotation)
        part = annotation if shape.is_model(annotation) else shape.bare(item)
        if shape.is_model(part):
            way = (*path, key) if part is annotation else (*path, key, "NAME")
            yield f"`{'.'.join(way)}`", part
            yield from _parts(part, way)


def _table(model: type[BaseModel]) -> str:
    rows = [
        (f"**`{key}`**" if info.is_required() else f"`{key}`", _type(info), _default(info), _about(info))
        for key, info in shape.written_fields(model).items()
    ]
    return _rows((("key", "type", "default", "meaning"), ("---",) * 4, *rows))


def _rows(rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)


def _cell(text: str) -> str:
    """Text inside a table, where a bar would end the cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def _type(info: FieldInfo) -> str:
    words = _QUANTITIES.get(shape.quantity(info)) or forms().get(shape.pattern(info)) or _words(info.annotation)
    example = shape.example(info)
    return f"{words}, such as `{example}`" if example else words


def _words(annotation: Any) -> str:
    if words := forms().get(shape.pattern_of(shape.marks(annotation))):
        return words
    annotation = shape.bare(annotation)
    if choices := shape.choices(annotation):
        return "one of " + ", ".join(f"`{choice}`" for choice in choices)
    if shape.is_model(annotation):
        return "mapping, see below"
    if isinstance(get_origin(annotation), type) and issubclass(get_origin(annotation), Mapping):
        inside = get_args(annotation)[1]
        return "mapping of names, see below" if shape.is_model(shape.bare(inside)) else _mapping(inside)
    if (item := shape.inner(annotation)) is not None:
        return f"list of: {_words(item)}"
    return _SIMPLE.get(annotation, "text")


def _mapping(inside: Any) -> str:
    plain = inside is Any or get_origin(inside) is Mapping
    return "mapping" if plain else f"mapping of names to {_words(inside)}"


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True) if not info.is_required() else None
    if info.is_required() or default is None or default in ("", (), {}) or isinstance(default, BaseModel):
        return ""
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return ", ".join(f"`{item}`" for item in default)
    return f"`{_measured(default, shape.quantity(info))}`"


def _measured(default: Any, quantity: str) -> str:
    """A default as a person would write it, with its prefix or unit."""
    if quantity in ("rate", "size"):
        for prefix, factor in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
            if default and default % factor == 0:
                return f"{default // factor}{prefix}"
    return f"{default}{_UNITS.get(quantity, '')}"


def _about(info: FieldInfo) -> str:
    if info.description:
        return info.description
    annotation = shape.bare(info.annotation)
    part = annotation if shape.is_model(annotation) else shape.bare(shape.inner(annotation))
    if shape.is_model(part) or (isinstance(part, type) and issubclass(part, Enum)):
        return _summary(part).split("\n")[0]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _summary(annotation)
    return ""
