"""`hentou overwrite`: drop a hand edit; a copy is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou.agent.edits import chosen
from hentou.agent.edits import overwrite as put_back
from hentou.agent.host import Host
from hentou.cli.converge import finish
from hentou.cli.output import note, say
from hentou.errors import HentouError
from hentou.generation.generation import Generation, Manifest


def overwrite(
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="Files edited by hand.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All files edited by hand.")] = False,
) -> None:
    """Put back the generation's version of files edited by hand.

    The edited version is kept under /var/lib/hentou/overwritten. What read the file is restarted or reloaded,
    and health is checked, as in `hentou converge`. An adopted edit goes too when its path is given.

    Examples: hentou overwrite /etc/motd
              hentou overwrite --all
    """
    if bool(paths) == every:
        raise HentouError("name the files to put back, or give --all", "see them with `hentou status`")
    host = Host(tell=note)
    entries = chosen(host, tuple(paths or ()), adopted=bool(paths))
    if not entries:
        say("nothing was edited by hand")
        return
    kept, outcome = put_back(host, entries)
    for place in kept:
        note(f"the edit is kept as {place}")
    manifest = host.manifest(host.store.state().current) or Manifest("")
    finish(host, Generation(manifest, {}), outcome)
