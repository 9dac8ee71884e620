"""The JSON Schema of a collective's files, from the same types that read them: what editors complete with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hentou.errors import HentouError
from hentou.model.shape import did_you_mean
from hentou.model.types import CollectiveSpec, Keys, Person, Roster, Secret, Site

KINDS: Final[Mapping[str, type[BaseModel]]] = {
    "collective": CollectiveSpec,
    "roster": Roster,
    "secret": Secret,
    "site": Site,
    "person": Person,
    "keys": Keys,
}
"""Kinds of files, and what each holds."""

Models = Mapping[str, type[BaseModel]]
Schema = dict[str, Any]
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(features: Models, recipes: Models, kind: str = "") -> Schema:
    """One document whose `$defs` hold every kind of file, or the schema of one kind, for an editor.

    Settings of the features and recipes given are described where they are written. HentouError for a kind
    that does not exist.
    """
    if kind and kind not in KINDS:
        raise HentouError(f"no file is of the kind {kind!r}", did_you_mean(kind, list(KINDS), _every_kind()))
    definitions = _definitions(features, recipes)
    described = {"$schema": _DIALECT, "title": f"A collective of hentou: {kind or 'every kind of file'}"}
    if kind:
        return {**described, "$ref": f"#/$defs/{kind}", "$defs": definitions}
    return {**described, "$defs": definitions, "oneOf": [{"$ref": f"#/$defs/{name}"} for name in KINDS]}


def _every_kind() -> str:
    return f"kinds: {', '.join(KINDS)}"


def _definitions(features: Models, recipes: Models) -> Schema:
    settings = {
        **{f"feature-{name}": model for name, model in sorted(features.items())},
        **{f"recipe-{name}": model for name, model in sorted(recipes.items())},
    }
    models = [*KINDS.values(), *settings.values()]
    # One call, so that types of the same name in two recipes get names apart.
    refs, generated = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/$defs/{model}"
    )
    definitions: Schema = generated["$defs"]
    for name, model in {**KINDS, **settings}.items():
        definitions[name] = refs[model, "validation"]
    by_feature = {name: {"$ref": f"#/$defs/feature-{name}"} for name in sorted(features)}
    for file in (CollectiveSpec, Site):
        properties = _of(definitions, refs[file, "validation"])["properties"]
        properties["features"] = _only(by_feature)
    service = definitions["Service"]
    service["properties"]["recipe"] = {**service["properties"]["recipe"], "enum": sorted(recipes)}
    service["allOf"] = [_when(name) for name in sorted(recipes)]
    return dict(sorted(definitions.items()))


def _of(definitions: Schema, reference: Mapping[str, Any]) -> Schema:
    found: Schema = definitions[reference["$ref"].removeprefix("#/$defs/")]
    return found


def _only(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _when(recipe: str) -> Schema:
    """The settings of a service whose recipe is this one."""
    return {
        "if": {"properties": {"recipe": {"const": recipe}}, "required": ["recipe"]},
        "then": {"properties": {"settings": {"$ref": f"#/$defs/recipe-{recipe}"}}},
    }
