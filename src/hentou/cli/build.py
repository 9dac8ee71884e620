"""`hentou build`: write what each machine should hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou import compose
from hentou.cli.output import as_json, say
from hentou.effects.export import export
from hentou.effects.tree import open_tree


def build(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The collective's repository.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write; made if missing.")],
    machine: Annotated[str, typer.Option("--machine", "-m", help="Only this machine.")] = "",
    rev: Annotated[str, typer.Option(help="A Git revision instead of the files as they are.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print machines and generations as JSON.")] = False,
) -> None:
    """Write what each machine should hold into a folder.

    That is its generation: OUTPUT/MACHINE/manifest.json and OUTPUT/MACHINE/files/…

    The same input gives the same bytes, on any computer: compare two builds with `diff -r --no-dereference`.

    Example: hentou build examples/pilot -o build/pilot
    """
    compiler = compose.compiler(compose.load(open_tree(directory, rev)))
    built: dict[str, tuple[str, int]] = {}  # not the generations themselves: many machines' files are much memory
    for wanted in compiler.collective.managed:
        if machine in ("", wanted.name):
            generation = compiler.generation(wanted)
            export(generation, output / wanted.name)
            built[wanted.name] = generation.id, len(generation.manifest.entries)
    if not built:
        raise compose.unknown_machine(compiler.collective, machine)
    if json:
        as_json({name: identity for name, (identity, _) in built.items()})
        return
    for name, (identity, files) in built.items():
        say(f"{name:<20} {identity[:12]}  {files} files")
