"""What the lab says before it touches anything, and what its command line promises."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hentou.cli.lab import app
from hentou.errors import HentouError
from hentou.lab import host, image, packages, requirements

VERBS = ("up", "status", "shell", "run", "cut", "heal", "crash", "start", "clock", "browse", "down")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: hentou lab {verb}" in result.output


def test_without_root_it_says_what_why_and_what_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HentouError) as caught:
        host.check()
    assert "the lab needs root: it makes network namespaces, mounts and containers" in caught.value.message
    assert "still work" in caught.value.message
    assert caught.value.hint == "run the same command with sudo"


def test_missing_packages_are_listed_with_the_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def two() -> Iterator[str]:
        yield from ("socat", "unbound")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "missing", two)
    with pytest.raises(HentouError) as caught:
        host.check()
    assert caught.value.message == "the lab needs Debian packages that are not installed: socat, unbound"
    assert caught.value.hint == "apt-get install --no-install-recommends socat unbound"


def test_the_list_of_packages_needs_nothing_but_python() -> None:
    source = Path(requirements.__file__).parents[2]
    command = [sys.executable, "-I", "-S", "-c", _ALONE, str(source)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == list(requirements.PACKAGES)


_ALONE = """\
import runpy, sys
sys.path.insert(0, sys.argv.pop())
runpy.run_module("hentou.lab.requirements", run_name="__main__")
"""


def test_a_package_is_installed_once() -> None:
    assert len(set(packages.IMAGE)) == len(packages.IMAGE)


def test_a_layer_is_keyed_by_the_bundles_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = image._contents(tmp_path)
    (tmp_path / "a").write_text("2")
    assert image._contents(tmp_path) != before
    (tmp_path / "a").rename(tmp_path / "b")
    assert image._contents(tmp_path) != before


def test_a_half_built_image_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), image._made(tmp_path / "base") as partial:
        (partial / "bin").touch()
        raise RuntimeError
    assert not (tmp_path / "base").exists()
    with image._made(tmp_path / "base") as partial:
        assert not list(partial.iterdir())
        (partial / "whole").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
