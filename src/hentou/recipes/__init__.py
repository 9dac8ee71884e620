"""Recipes: how each kind of service is built, one folder each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from hentou.generation.contract import Recipe
from hentou.recipes import website

RECIPES: Mapping[str, Recipe] = {"website": cast("Recipe", website)}
"""Every recipe by name, which is also what `recipe:` says in YAML."""
