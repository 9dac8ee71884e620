"""The page in docs/ is what the types say now."""

from __future__ import annotations

from pathlib import Path

from hentou import compose
from hentou.model.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "collective.md"


def test_the_page_is_up_to_date() -> None:
    written = reference(compose.FEATURE_SETTINGS, compose.RECIPE_SETTINGS)
    assert PAGE.read_text() == written, "run `make reference`"
