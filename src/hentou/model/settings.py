"""Settings of features and recipes, each against the type that it declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from hentou.errors import Problem
from hentou.model.draft import COLLECTIVE, Draft
from hentou.model.shape import did_you_mean
from hentou.model.validate import misfits
from hentou.model.words import tell
from hentou.model.yaml import Document, Path

Models = Mapping[str, type[BaseModel]]


def check_recipes(draft: Draft, recipes: Models) -> Iterator[Problem]:
    """Services of a recipe that does not exist, or with settings that it does not understand."""
    for document, service in draft.each_service():
        path: Path = ("services", service.key)
        model = recipes.get(service.recipe)
        if model is None:
            hint = did_you_mean(service.recipe, sorted(recipes), f"recipes: {', '.join(sorted(recipes))}")
            yield document.value((*path, "recipe"), f"no recipe is called {service.recipe}", hint)
            continue
        for error in misfits(model, dict(service.settings)):
            yield tell(error, model, document, (*path, "settings"))


def check_features(draft: Draft, features: Models) -> Iterator[Problem]:
    """Settings for a feature that does not exist, or that it does not understand.

    A site's words stand over the collective's, key by key; what the collective says must hold by itself
    wherever no site adds to it.
    """
    common = draft.documents.get(COLLECTIVE)
    if common is None:
        return
    sites = tuple(draft.site_documents.values())
    for document in (common, *sites):
        yield from _unknown(document, features)
    for name, model in features.items():
        own = [document for document in sites if name in document.mapping("features")]
        for document in own:
            yield from _together(common, document, name, model)
        if not own or len(own) < len(sites):
            for error in misfits(model, common.mapping("features", name)):
                yield tell(error, model, common, ("features", name))


def _together(common: Document, site: Document, name: str, model: type[BaseModel]) -> Iterator[Problem]:
    """One site's settings of a feature with the collective's, each problem in the file that wrote the key."""
    path: Path = ("features", name)
    shared, own = common.mapping(*path), site.mapping(*path)
    for error in misfits(model, {**shared, **own}):
        key = str(error["loc"][0]) if error["loc"] else ""
        blamed = common if key in shared and key not in own else site
        yield tell(error, model, blamed, path)


def _unknown(document: Document, features: Models) -> Iterator[Problem]:
    for name in document.mapping("features"):
        if name not in features:
            hint = did_you_mean(name, sorted(features), f"features: {', '.join(sorted(features))}")
            yield document.key(("features", name), f"no feature is called {name}", hint)
