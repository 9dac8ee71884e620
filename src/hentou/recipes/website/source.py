"""The source tree of a site as Hugo reads it: the repository's pages, and what the recipe adds to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hentou.errors import InvalidCollectiveError, Problem
from hentou.generation.contract import ServiceView
from hentou.generation.fragment import LARGEST_FILE
from hentou.generation.offer import Offers
from hentou.generation.shared import once
from hentou.generation.template import fill, raw
from hentou.model.types import Collective, Pointer

_CONFIGURATIONS = frozenset({"hugo.toml", "hugo.yaml", "hugo.yml", "hugo.json", "config.toml", "config.yaml"})
_LAYOUTS = (
    "_default/baseof.html", "_default/list.html", "_default/single.html", "404.html", "partials/style.css",
)  # fmt: skip
_WORDS = {
    "fr": {
        "skip": "Aller au contenu",
        "home": "Accueil",
        "lost": "Cette page n'existe pas.",
        "pages": "Pages",
    },
    "en": {"skip": "Skip to content", "home": "Home", "lost": "This page does not exist.", "pages": "Pages"},
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file of a source tree; `path` is relative to it."""

    path: str
    content: bytes
    copied_from: str | None = None
    because: tuple[Pointer, ...] = ()


@once
def _contents(collective: Collective, offers: Offers) -> dict[str, tuple[str, ...]]:  # noqa: ARG001
    """The paths below each folder of content/, so that many sites do not each read the whole list."""
    found: dict[str, list[str]] = {}
    for path in collective.tree.files():
        if path.startswith("content/"):
            parts = path.split("/")
            for depth in range(2, len(parts)):
                found.setdefault("/".join(parts[:depth]), []).append(path)
    return {folder: tuple(paths) for folder, paths in found.items()}


def tree(view: ServiceView[Any], folder: str, title: str) -> Iterator[Page]:
    """Every file of the source tree of one site.

    A folder with Hugo's own configuration or layout is taken as it is; a folder of plain pages becomes the
    site's content. Layouts come from the recipe where the folder brings none. InvalidCollectiveError where
    it is missing.
    """
    paths = _contents(view.collective, view.offers).get(folder)
    if not paths:
        raise _missing(view, folder)
    inner = {path: path[len(folder) + 1 :] for path in paths}
    configured = not _CONFIGURATIONS.isdisjoint(inner.values())
    whole = configured or any(path.startswith("content/") for path in inner.values())
    for path, relative in inner.items():
        where = relative if whole else f"content/{relative}"
        yield Page(where, view.collective.tree.read(path, LARGEST_FILE), path, (Pointer(path),))
    if not configured:
        yield Page("hugo.toml", _configuration(view, title))
    if not any(path.startswith(("layouts/", "themes/")) for path in inner.values()):
        for layout in _LAYOUTS:
            yield Page(f"layouts/{layout}", raw(__package__, f"layouts/{layout}"))


def _configuration(view: ServiceView[Any], title: str) -> bytes:
    language = view.collective.spec.language
    return fill(
        __package__,
        "hugo.toml",
        url=json.dumps(f"https://{view.name}/"),
        language=language,
        # A JSON string is a TOML string.
        title=json.dumps(title, ensure_ascii=False),
        place=json.dumps(view.site.place, ensure_ascii=False),
        words={key: json.dumps(word, ensure_ascii=False) for key, word in _WORDS[language].items()},
    )


def _missing(view: ServiceView[Any], folder: str) -> InvalidCollectiveError:
    collective, keys = view.collective, (*view.here.keys, "settings", "source")
    while keys and Pointer(view.here.file, keys) not in collective.positions:
        keys = keys[:-1]
    line, column = collective.positions.get(Pointer(view.here.file, keys), (0, 0))
    problem = Problem(
        view.here.file,
        line,
        column,
        f"website {view.service.key} has no pages: nothing is in {folder}/",
        f"write {folder}/_index.md, or name another folder with `source`",
    )
    return InvalidCollectiveError((problem,))
