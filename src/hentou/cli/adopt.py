"""`hentou adopt`: keep a hand edit and make it a patch to the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou.agent.edits import adopt as keep
from hentou.agent.edits import chosen
from hentou.agent.host import Host
from hentou.cli.output import note

_LET_GO = "the repository no longer has it: after `hentou converge` it is nobody's but yours"


def adopt(
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="All edits by default.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the patch to this file.")] = None,
) -> None:
    """Keep hand edits, and print the patch for the repository.

    A file that copies one of the repository changes that one; any other becomes overrides/MACHINE/PATH. From
    now on converging leaves the edited files alone, until the repository has them.

    Examples: hentou adopt /etc/motd | ssh laptop 'cd pilot && git apply'
              hentou adopt -o edits.patch
    """
    host = Host()
    with host.store.lock():
        entries = chosen(host, tuple(paths or ()))
        patches = {entry.path: keep(host, entry) for entry in entries}
    patch = "".join(patches.values())
    if output:
        output.write_text(patch)
    else:
        typer.echo(patch, nl=False)
    for path, found in patches.items():
        note(f"{path}: kept; {'apply the patch in the repository, commit and push' if found else _LET_GO}")
    if not entries:
        note("nothing was edited by hand")
