"""`hentou check`: every problem of a collective, on the user's own lines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from hentou import compose
from hentou.cli.output import as_json, out, say
from hentou.effects.tree import open_tree
from hentou.errors import InvalidCollectiveError, Problem
from hentou.model.secrets import Stale, remedy, stale
from hentou.model.types import Collective


def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The collective's repository.")] = Path(),
    rev: Annotated[str, typer.Option(help="A Git revision instead of the files as they are.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Report everything wrong in a collective's files, at once.

    Each problem gives the file, line and column, the line itself with a caret, and one next action. Files that
    are right are also compiled, which finds what no file shows alone: pages that are missing, two features that
    claim one port. Nothing is changed and nothing is contacted.

    Exit status: 0 all is well; 1 there are problems.

    Example: hentou check examples/pilot
    """
    try:
        collective = compose.load(open_tree(directory, rev))
        problems, words, red = compose.compiler(collective).problems(), summary(collective), stale(collective)
    except InvalidCollectiveError as invalid:
        problems, words, red = invalid.problems, "", ()
    if json:
        as_json({"problems": [asdict(problem) for problem in problems]})
    elif problems:
        _tell(problems)
    else:
        say(words)
        _warn(red)
    if problems:
        raise typer.Exit(1)


def _warn(red: tuple[Stale, ...]) -> None:
    """Tell secrets that somebody knows who should not: no problem of the files, and no reason to hold a change back."""
    for item in red:
        say(f"secret {item}", "red")
    for line in remedy(item.secret for item in red):
        say(f"  → {line}", "bold")


def summary(collective: Collective) -> str:
    """What a collective without a problem holds, in one line."""
    counts = (
        (len(collective.sites), "site"),
        (len(collective.machines), "machine"),
        (len(collective.services), "service"),
    )
    held = ", ".join(_count(count, word) for count, word in counts)
    return f"{collective.spec.name}: {held}: no problem found."


def _tell(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        out.print(_coloured(problem))
        out.print()
    files = len({problem.path for problem in problems})
    say(f"{_count(len(problems), 'problem')} in {_count(files, 'file')}.", "bold")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _coloured(problem: Problem) -> Text:
    """The problem as it prints itself, with its position, caret and next action set off on a terminal."""
    first, *rest = str(problem).split("\n")
    where = first.removesuffix(problem.message)
    text = Text.assemble((where, "bold"), (problem.message, "bold red"))
    for line in rest:
        style = "green" if line.strip() == "^" else "cyan" if line.startswith("  → ") else ""
        text.append("\n").append(line, style)
    return text
