"""Where the model meets the features and recipes it is compiled with."""

from __future__ import annotations

from hentou.errors import HentouError
from hentou.features import FEATURES
from hentou.generation.compile import Compiler
from hentou.model.load import load as load_model
from hentou.model.shape import did_you_mean
from hentou.model.types import Collective, Tree
from hentou.recipes import RECIPES

FEATURE_SETTINGS = {name: feature.Settings for name, feature in FEATURES.items()}
RECIPE_SETTINGS = {name: recipe.Settings for name, recipe in RECIPES.items()}


def load(tree: Tree) -> Collective:
    """A repository's collective; InvalidCollectiveError with every problem where it has any."""
    return load_model(tree, FEATURE_SETTINGS, RECIPE_SETTINGS)


def compiler(collective: Collective) -> Compiler:
    """A collective with all features and recipes."""
    return Compiler(collective, FEATURES, RECIPES)


def unknown_machine(collective: Collective, name: str) -> HentouError:
    """The error for a machine that is not there, or that this collective does not administer."""
    if name in collective.machines:
        return HentouError(f"{name} is external: in mesh and names, never administered", "name another machine")
    known = [m.name for m in collective.managed]
    return HentouError(
        f"no machine is called {name!r} in {collective.spec.name}",
        did_you_mean(name, known, f"there are: {', '.join(known) or 'none'}"),
    )
