"""`hentou bundle`: what installs hentou on a machine, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou import compose
from hentou.admin.enrol import member
from hentou.cli.output import note, say
from hentou.effects.tree import open_tree
from hentou.errors import HentouError
from hentou.lab.bundle import build_bundle, for_machine, general
from hentou.model.types import Architecture


def bundle(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to make it; refreshed if it is there.")],
    arch: Annotated[
        Architecture | None, typer.Option(help="The machine's processor; as described, or amd64, by default.")
    ] = None,
    collective: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For a machine of this collective: its working copy.")
    ] = None,
    machine: Annotated[str, typer.Option(help="Which machine.")] = "",
) -> None:
    """Make the bundle that installs hentou on a machine, offline.

    It holds hentou's own wheel, the locked wheels it needs and `install.sh`. The machine needs Debian 13 with
    python3-venv, git and wireguard-tools, and no package registry but Debian's. Copy the folder there and run
    `sh install.sh` as root; run it again with a newer bundle to update.

    With --collective and --machine it also says which machine this will be, whom it obeys, and holds the repository
    as it was published. Such a machine shows a code on its screen, and calls home until `hentou enrol` has taken it
    in. The bundle holds nothing secret but the repository itself.

    Examples: hentou bundle -o build/bundle
              hentou bundle -o /media/stick/hentou --collective . --machine kerminy-1
              scp -r build/bundle root@MACHINE:/root/
    """
    if bool(collective) != bool(machine):
        raise HentouError("--collective and --machine go together", "give both, or none")
    build_bundle(output.resolve(), str(arch or _described(collective, machine)), note)
    if collective:
        trust = for_machine(output, collective.resolve(), machine)
        note(f"it makes {machine}, which obeys {', '.join(sorted(trust.roster.admins))}")
    else:
        general(output)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    say(f"{output}: {size / 1e6:.0f} MB; copy it to the machine and run install.sh there, as root")


def _described(collective: Path | None, machine: str) -> Architecture:
    if collective is None:
        return Architecture.AMD64
    return member(compose.load(open_tree(collective, "HEAD")), machine).arch
