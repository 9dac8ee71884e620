"""`hentou join`: what an external machine's own administrator runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou import compose
from hentou.effects.tree import open_tree
from hentou.errors import HentouError
from hentou.features.mesh import join_script


def join(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The collective's repository.")],
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="An external machine's name.")],
) -> None:
    """Print the script by which an external machine joins the mesh.

    That is a YunoHost, a NethServer, a Proxmox or anything that its owner administers alone. Its administrator
    reads it, runs it as root, and sends back the public key that it prints, for keys/MACHINE.yaml. Nothing else
    on that machine is touched, now or later.

    Example: hentou join examples/pilot yunohost > join.sh
    """
    collective = compose.load(open_tree(directory))
    found = collective.machines.get(machine)
    if found is None or found.external is None:
        names = [m.name for m in collective.machines.values() if m.external]
        raise HentouError(
            f"{machine} is no external machine of {collective.spec.name}",
            f"external machines here: {', '.join(names) or 'none; see docs/how-to'}",
        )
    typer.echo(join_script(collective, found), nl=False)
