"""Look across a collective's files for what no single file can show to be wrong."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from hentou.model import collisions, references, sense, settings
from hentou.model.draft import Draft

RULES = (
    *references.RULES,
    *collisions.RULES,
    *sense.RULES,
)
"""Each is given a draft and yields problems; none depends on another."""


def check(
    draft: Draft, features: Mapping[str, type[BaseModel]], recipes: Mapping[str, type[BaseModel]]
) -> None:
    """Add to a draft's problems all that is wrong between its files and in the settings."""
    for rule in RULES:
        draft.problems += rule(draft)
    draft.problems += settings.check_features(draft, features)
    draft.problems += settings.check_recipes(draft, recipes)
