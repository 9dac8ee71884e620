"""The registry of verbs, in the order in which people meet them. A verb is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import cleandoc
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hentou import __version__

WRITE = "Describe a collective"
GOVERN = "Decide together"
FACTS = "Know and tell"
MACHINE = "On a machine"
LEARN = "Learn and rehearse"

VERBS: Mapping[str, str] = {
    **dict.fromkeys(("check", "schema", "build", "plan", "explain", "bundle", "join"), WRITE),
    **dict.fromkeys(("publish", "cosign", "verify", "roster", "enrol", "adopt", "strike", "secret"), GOVERN),
    **dict.fromkeys(("status", "log", "detach", "attach"), FACTS),
    **dict.fromkeys(
        ("sync", "converge", "generations", "rollback", "overwrite", "pin", "identity", "recover"), MACHINE
    ),
    "lab": LEARN,
}
"""Every verb, which is also the name of its module and function, with the panel of `--help` that it stands in."""


class _Commands(dict[str, Any]):
    """Click's dictionary of commands, with each made when it is first looked at.

    Importing all of them takes half a second, and a converge that finds nothing to do needs one.
    """

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(VERBS))

    def __getitem__(self, verb: str) -> Any:
        if super().__getitem__(verb) is None:
            self[verb] = _command(verb)
        return super().__getitem__(verb)

    def get(self, verb: str, default: Any = None) -> Any:
        return self[verb] if verb in self else default  # noqa: SIM401 - the dictionary's own `get` makes nothing

    def values(self) -> Any:
        return {verb: self[verb] for verb in self}.values()

    def items(self) -> Any:
        return {verb: self[verb] for verb in self}.items()


def _command(verb: str) -> Any:
    module, only = import_module(f"hentou.cli.{verb}"), typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        for command in module.app.registered_commands:
            command.help = _told(command.callback)
        only.add_typer(module.app, name=verb, rich_help_panel=VERBS[verb])
    else:
        # A callback keeps typer from taking the one verb for the whole program.
        only.callback()(lambda: None)
        function = getattr(module, verb)
        only.command(rich_help_panel=VERBS[verb], help=_told(function))(function)
    group: Any = typer.main.get_command(only)
    return group.commands[verb]


def _told(function: Any) -> str:
    """A function's help, with a backspace that keeps click from filling the examples into one paragraph."""
    return cleandoc(function.__doc__).replace("\n\nExample", "\n\n\b\nExample")


class _Verbs(TyperGroup):
    """The program: a group of commands that are not there yet."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's own signature
        """The names, without looking at the commands."""
        return list(VERBS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's own signature
        """The verbs in their groups, each with the first sentence of its help."""
        room = formatter.width - max(map(len, VERBS)) - 6
        for panel in dict.fromkeys(VERBS.values()):
            verbs = [verb for verb, its_panel in VERBS.items() if its_panel == panel]
            with formatter.section(panel):
                formatter.write_dl([(verb, self.commands[verb].get_short_help_str(room)) for verb in verbs])


app = typer.Typer(
    name="hentou",
    cls=_Verbs,
    help="Run a collective of small servers, in many places, from one Git repository.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hentou {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show Python's traceback of an error.")] = False,
) -> None:
    """Run a collective of small servers, in many places, from one Git repository."""
