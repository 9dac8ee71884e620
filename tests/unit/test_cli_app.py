"""The program as a whole: every verb is there, in order, and none is imported before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import typer
from typer.testing import CliRunner

from hentou.cli.app import VERBS, app

HEAVY = ("pydantic", "jinja2", "yaml", "cryptography")


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return done.stdout


def test_every_verb_is_made_with_its_help_and_panel() -> None:
    root: Any = typer.main.get_command(app)
    assert list(root.commands) == list(VERBS) == list(root.list_commands(None))
    for verb, command in root.commands.items():
        assert (command.name, command.rich_help_panel) == (verb, VERBS[verb])
        assert command.help
    assert root.commands.get("chekc") is None
    assert "up" in root.commands["lab"].commands


def test_help_tells_verbs_in_the_order_in_which_people_meet_them() -> None:
    said = CliRunner().invoke(app, ["--help"]).stdout.partition("Options:")[2]
    assert [words[0] for line in said.splitlines() if (words := line.split()) and words[0] in VERBS] == list(VERBS)


def test_a_mistyped_verb_is_told_the_near_one() -> None:
    said = CliRunner().invoke(app, ["convrege"])
    assert said.exit_code == 2
    assert "converge" in said.output


def test_the_version_brings_nothing_heavy_in() -> None:
    code = (
        "import sys; from hentou.cli import main\n"
        "sys.argv = ['hentou', '--version']\n"
        "try: main()\n"
        f"except SystemExit: print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert python(code).splitlines()[1:] == ["[]"]


def test_shells_complete_verbs() -> None:
    code = "import sys; sys.argv = ['hentou']; from hentou.cli import main; main()"
    ask = {"_HENTOU_COMPLETE": "complete_bash"}
    assert python(code, **ask, COMP_WORDS="hentou con", COMP_CWORD="1").split() == ["converge"]
    assert python(code, **ask, COMP_WORDS="hentou lab cr", COMP_CWORD="2").split() == ["crash"]
