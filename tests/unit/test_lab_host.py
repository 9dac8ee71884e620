"""What the lab says before it touches anything, and what its command line promises."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hentou import compose
from hentou.cli.lab import app
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.lab import cleanup, host, image, packages, requirements
from hentou.lab.browse import Proxy
from hentou.lab.lab import Lab
from hentou.lab.survey import start_page

VERBS = (
    "up", "status", "look", "shell", "run", "cut", "heal", "crash", "start", "clock", "browse", "push", "down",
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: hentou lab {verb}" in result.output


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "Pilot", "a" * 16])
def test_what_cannot_be_a_labs_name_is_never_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "x").mkdir()
    with pytest.raises(HentouError, match="cannot be a lab's name"):
        cleanup.remove(name, tmp_path / "work")
    assert (tmp_path / "x").exists()


def test_a_missing_lab_is_told_with_those_that_are_up(tmp_path: Path) -> None:
    with pytest.raises(HentouError) as none:
        Lab.attach("lab", tmp_path)
    assert none.value.message == "no lab is up"
    (tmp_path / "pilot").mkdir()
    (tmp_path / "pilot" / cleanup.RECORD).touch()
    with pytest.raises(HentouError) as other:
        Lab.attach("lab", tmp_path)
    assert (other.value.message, other.value.hint) == ("no lab called lab is up", "name one that is: --name pilot")


def test_a_browser_starts_at_the_page_of_its_place() -> None:
    collective = compose.load(DirectoryTree(Path(__file__).parents[2] / "examples/pilot"))
    assert start_page(collective, "kerminy/laptop") == "https://kerminy.pilot.example/"
    assert start_page(collective, "konkarlab/laptop") == "https://konkarlab.pilot.example/"
    assert start_page(collective, "visitor") == "https://kerminy.pilot.example/"


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_a_browsers_script_says_what_is_missing(tmp_path: Path, browser: str) -> None:
    proxy = Proxy(1080, "home/laptop", tmp_path / "authority.pem")
    proxy.write(tmp_path / "browse", "https://home.example/")
    script = [shutil.which("sh") or "sh", str(tmp_path / "browse" / browser)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "certutil is not installed" in done.stderr
    assert "apt-get install libnss3-tools" in done.stderr


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
