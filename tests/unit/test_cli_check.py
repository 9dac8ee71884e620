"""`hentou check` and `hentou schema` as people and scripts meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hentou.cli.check import check
from hentou.cli.schema import schema

PROBLEMS = Path(__file__).parents[1] / "problems"
CLEAN = PROBLEMS.parents[1] / "examples" / "pilot"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(check)
    made.command()(schema)
    return made


def test_no_problem(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["check", str(CLEAN)])
    assert result.exit_code == 0
    assert result.stdout == "pilot: 3 sites, 4 machines, 3 services: no problem found.\n"


def test_problems_are_told_and_counted(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["check", str(PROBLEMS / "yaml-tab")])
    assert result.exit_code == 1
    assert "sites/kerminy.yaml:2:1: a tab in the indentation\n" in result.stdout
    assert "\n  → indent with spaces\n" in result.stdout
    assert result.stdout.endswith("3 problems in 3 files.\n")
    assert "\x1b" not in result.stdout


def test_problems_as_json(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["check", "--json", str(PROBLEMS / "yaml-tab")])
    assert result.exit_code == 1
    problem = json.loads(result.stdout)["problems"][-1]
    assert (problem["path"], problem["line"], problem["column"]) == ("sites/kerminy.yaml", 2, 1)
    assert problem["hint"] == "indent with spaces"


def test_no_problem_as_json(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["check", "--json", str(CLEAN)])
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"problems": []})


def test_schema_of_one_kind(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["schema", "site"])
    assert json.loads(result.stdout)["$ref"] == "#/$defs/site"
