"""The registry of verbs, in the order in which people meet them."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou import __version__
from hentou.cli import (
    adopt,
    build,
    check,
    converge,
    explain,
    generations,
    identity,
    join,
    lab,
    overwrite,
    plan,
    recover,
    rollback,
    schema,
    status,
)

app = typer.Typer(
    name="hentou",
    help="Run a collective of small servers, in many places, from one signed Git repository.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WRITE = "Describe a collective"
MACHINE = "On a machine"
LEARN = "Learn and rehearse"


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
    """Run a collective of small servers, in many places, from one signed Git repository."""


for verb, panel in (
    (check.check, WRITE),
    (schema.schema, WRITE),
    (build.build, WRITE),
    (plan.plan, WRITE),
    (explain.explain, WRITE),
    (join.join, WRITE),
    (converge.converge, MACHINE),
    (status.status, MACHINE),
    (generations.generations, MACHINE),
    (rollback.rollback, MACHINE),
    (adopt.adopt, MACHINE),
    (overwrite.overwrite, MACHINE),
    (identity.identity, MACHINE),
    (recover.recover, MACHINE),
):
    app.command(rich_help_panel=panel)(verb)
app.add_typer(lab.app, name="lab", rich_help_panel=LEARN)
