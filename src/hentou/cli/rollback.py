"""`hentou rollback`: back to a generation that worked."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou.agent.activate import Options, activate
from hentou.agent.host import Host
from hentou.cli.converge import finish
from hentou.cli.output import note
from hentou.errors import HentouError
from hentou.generation.generation import Generation


def rollback(
    generation: Annotated[str, typer.Argument(metavar="ID", help="The start of a generation's id.")] = "",
) -> None:
    """Go back to the generation before, or to one before that.

    `hentou generations` lists them.

    The same care as in `hentou converge`: health is checked, and a failure is undone. The generation left is
    quarantined: `hentou converge` waits for a newer commit, and `hentou converge --retry` returns to it.

    Examples: hentou rollback
              hentou rollback 3f9a0c
    """
    host = Host(tell=note)
    state = host.store.state()
    wanted = host.store.find(generation) if generation else state.previous
    manifest = host.manifest(wanted)
    if wanted is None or manifest is None:
        raise HentouError("there is no generation before the current one", "see `hentou generations`")
    commit = host.store.about(wanted).get("commit", "")
    options = Options(commit=commit, retry=True, leaving="left by `hentou rollback`")
    outcome = activate(host, Generation(manifest, {}), options)
    finish(host, Generation(manifest, {}), outcome)
    if state.current and state.current != wanted:
        note(f"`hentou converge` waits for a newer commit; `hentou converge --retry` returns to {state.current[:12]}")
