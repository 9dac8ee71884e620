"""The JSON Schema and the reference say what the loader accepts."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from hentou.errors import HentouError
from hentou.model.reference import reference
from hentou.model.schema import KINDS, schema
from hentou.model.types import Spec


class Mesh(Spec):
    port: int = Field(51820, ge=1, le=65535, description="Where WireGuard listens.")


class Website(Spec):
    source: str = Field(description="Where the pages are.")
    theme: Literal["plain", "dark"] = "plain"


class Plain(BaseModel):
    pass


def described(kind: str = "") -> dict[str, Any]:
    return schema({"mesh": Mesh, "plain": Plain}, {"website": Website}, kind)


def test_what_the_loader_fills_in_is_not_in_the_schema() -> None:
    assert "$name" not in json.dumps(described())
    assert "$site" not in json.dumps(described())


def test_every_kind_of_file_has_its_schema() -> None:
    definitions = described()["$defs"]
    for kind in KINDS:
        assert described(kind)["$ref"] == f"#/$defs/{kind}"
        assert kind in definitions


def test_every_reference_leads_somewhere() -> None:
    whole = described()
    for name in re.findall(r'"#/\$defs/([^"]+)"', json.dumps(whole)):
        assert name in whole["$defs"]


def test_settings_of_features_and_recipes_are_described() -> None:
    definitions = described()["$defs"]
    features = definitions["Site"]["properties"]["features"]
    assert features["additionalProperties"] is False
    assert features["properties"]["mesh"] == {"$ref": "#/$defs/feature-mesh"}
    assert definitions["Service"]["properties"]["recipe"]["enum"] == ["website"]
    assert definitions["Service"]["allOf"][0]["then"]["properties"]["settings"] == {"$ref": "#/$defs/recipe-website"}


def test_a_kind_that_does_not_exist() -> None:
    with pytest.raises(HentouError, match="sites") as caught:
        described("sites")
    assert caught.value.hint == "did you mean site?"


def test_every_key_is_in_the_reference() -> None:
    page = reference({"mesh": Mesh}, {"website": Website})
    for model in KINDS.values():
        for name, field in model.model_fields.items():
            assert (f"`{name}`" in page) or (field.alias or "").startswith("$")
    assert "| `port` | whole number | `51820` | Where WireGuard listens. |" in page
    assert "| `theme` | one of `plain`, `dark` | `plain` |" in page
    assert "| **`down`** | rate, such as `800k` |  | Bits per second towards the site. |" in page


def test_every_key_of_the_reference_says_what_it_means() -> None:
    rows = [line for line in reference({}, {}).splitlines() if line.startswith(("| `", "| **"))]
    assert rows
    for row in rows:
        assert not row.endswith("|  |"), row
