"""`hentou recover`: undo an activation whose process died."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou.agent.activate import undo_interrupted
from hentou.agent.host import Host
from hentou.agent.local import machines_only
from hentou.cli.output import note, say
from hentou.effects.disk import LockedError


def recover(
    if_dead: Annotated[
        bool, typer.Option("--if-dead", help="Say nothing and leave it when the activation is alive.")
    ] = False,
) -> None:
    """Undo an activation whose process died without a power cut.

    Files, accounts and services come back. `hentou-undo.timer` runs it every few seconds during an activation.
    After a power cut `hentou-recover.service` has done the same before any service started.

    Example: hentou recover
    """
    host = Host(tell=note)
    machines_only(host.disk)
    try:
        with host.store.lock():
            undone = undo_interrupted(host)
            host.system.disarm_undo()
    except LockedError:
        if if_dead:
            return
        raise
    say("undone: the generation before is back" if undone else "nothing was interrupted")
