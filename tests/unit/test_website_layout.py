"""The website recipe's own layout: readable in light and dark, usable by keyboard and screen reader, and alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hentou.recipes import website

LAYOUTS = Path(website.__file__).parent / "templates" / "layouts"
STYLE = (LAYOUTS / "partials/style.css").read_text()
BASE = (LAYOUTS / "_default/baseof.html").read_text()
LIGHT, DARK = (dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{[^}]*\}", STYLE))


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back"), [("ink", "paper"), ("ink", "band"), ("path", "paper"), ("path", "band"), ("soft", "paper")]
)
def test_text_stands_out(scheme: dict[str, str], front: str, back: str) -> None:
    darker, lighter = sorted((luminance(scheme[front]), luminance(scheme[back])))
    assert (lighter + 0.05) / (darker + 0.05) >= 6


@pytest.mark.parametrize("mark", ["<html lang=", 'class="skip" href="#main"', '<main id="main"', "<nav aria-label="])
def test_a_keyboard_and_a_screen_reader_find_their_way(mark: str) -> None:
    assert mark in BASE


def test_nothing_is_fetched_from_elsewhere() -> None:
    pages = "".join(path.read_text() for path in LAYOUTS.rglob("*") if path.is_file())
    assert not re.search(r"https?://|@import|<script|src=|url\(", pages)
