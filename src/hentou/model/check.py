"""Look across a collective's files for what no single file can show to be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from pydantic import BaseModel

from hentou.model import collisions, references, secret_rules, sense, settings
from hentou.model.draft import Draft

RULES = (
    *references.RULES,
    *collisions.RULES,
    *sense.RULES,
    *secret_rules.RULES,
)
"""Each is given a draft and yields problems; none depends on another."""

ENOUGH = 100
"""Problems of one rule that are told; more come from one cause, or from somebody who wants to be tiresome."""


def check(draft: Draft, features: Mapping[str, type[BaseModel]], recipes: Mapping[str, type[BaseModel]]) -> None:
    """Add to a draft's problems all that is wrong between its files and in the settings."""
    for rule in RULES:
        draft.problems += islice(rule(draft), ENOUGH)
    draft.problems += islice(settings.check_features(draft, features), ENOUGH)
    draft.problems += islice(settings.check_recipes(draft, recipes), ENOUGH)
