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
    new: Annotated[bool, typer.Option("--new", help="Make new keys; the ones of before are lost.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Print this machine's public keys, and the code for them.

    Keys that are not there yet are made. The private halves stay in /var/lib/hentou/keys, readable by root only.
    An admin takes the public ones with `hentou enrol`, and compares the code with what this machine says.

    A copied disk has another machine's keys: with --new it gets its own, and is enrolled again with --replace.
    Until that is published it is out of the mesh, and reads no secret.

    Examples: hentou identity
              hentou identity --json > kerminy-1.json
    """
    found = public_halves(Host(), machine or this_machine(), new=new)
    if json:
        as_json(found)
        return
    for name, value in found.items():
        say(f"{name}: {value}")
