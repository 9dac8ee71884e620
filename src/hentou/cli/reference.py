"""Write docs/reference from the code itself: `python -m hentou.cli.reference docs/reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from hentou import compose
from hentou.cli.app import app
from hentou.features import FEATURES
from hentou.model.reference import reference as collective_reference
from hentou.recipes import RECIPES


def pages() -> Mapping[str, str]:
    """Every generated page of the reference, by file name."""
    return {
        "commands.md": commands(),
        "collective.md": collective_reference(compose.FEATURE_SETTINGS, compose.RECIPE_SETTINGS),
        "features.md": _modules("Features", "What every machine gets.", {**FEATURES}),
        "recipes.md": _modules("Recipes", "Kinds of services that a site can run.", {**RECIPES}),
    }


def commands() -> str:
    """Every verb with its help, options and example."""
    root = typer.main.get_command(app)
    lines = ["# Commands", "", "Written by `make reference` from the commands themselves.", ""]
    for path, command in _walk((), root):
        lines += _command(path, command)
    return "\n".join(lines).rstrip() + "\n"


def _walk(path: tuple[str, ...], command: object) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _walk((*path, name), child)
    elif isinstance(command, TyperCommand):
        yield path, command


def _command(path: tuple[str, ...], command: TyperCommand) -> Iterator[str]:
    yield from (f"## hentou {' '.join(path)}", "", cleandoc(command.help or "").replace("\b\n", ""), "")
    records = [record for param in command.params if (record := _option(param))]
    if records:
        yield from ("| option or argument | meaning |", "| --- | --- |", *records, "")


def _option(param: Any) -> str:
    if isinstance(param, TyperOption):
        names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    else:
        names = f"`{(param.metavar or param.name).upper()}`"
    meaning = " ".join((param.help or "").split()).replace("|", "\\|")
    return "" if param.hidden else f"| {names} | {meaning} |"


def _modules(title: str, about: str, modules: Mapping[str, object]) -> str:
    lines = [f"# {title}", "", f"{about} Written by `make reference` from the code.", ""]
    for name, module in sorted(modules.items()):
        lines += [f"## {name}", "", cleandoc(module.__doc__ or ""), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for page, text in pages().items():
        (target / page).write_text(text)
