"""`hentou identity`: the keys by which the collective knows this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from hentou.agent.host import Host
from hentou.agent.identity import identity as public_halves
from hentou.agent.local import MACHINE_FILE, this_machine
from hentou.cli.output import as_json, say


def identity(
    machine: Annotated[str, typer.Option(help=f"This machine's name; by default from {MACHINE_FILE}.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print the public halves of this machine's keys.

    Keys that are not there yet are made. An admin writes them to keys/MACHINE.yaml of the repository, with the
    certificate that answers the request. The private halves stay in /var/lib/hentou/keys, readable by root
    only.

    Example: hentou identity --json
    """
    found = public_halves(Host(), machine or this_machine())
    if json:
        as_json(found)
        return
    for name, value in found.items():
        say(f"{name}: {value}")
