"""`hentou bundle`: what installs hentou on a machine, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hentou.cli.output import note, say
from hentou.lab.bundle import build_bundle
from hentou.model.types import Architecture


def bundle(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to make it; refreshed if it is there.")],
    arch: Annotated[Architecture, typer.Option(help="The machine's processor.")] = Architecture.AMD64,
) -> None:
    """Make the bundle that installs hentou on a machine, offline.

    It holds hentou's own wheel, the locked wheels it needs and `install.sh`. The machine needs Debian 13 with
    python3-venv, and no package registry but Debian's. Copy the folder there and run `sh install.sh` as root;
    run it again with a newer bundle to update.

    Examples: hentou bundle -o build/bundle
              scp -r build/bundle root@MACHINE:/root/
    """
    build_bundle(output.resolve(), str(arch), note)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    say(f"{output}: {size / 1e6:.0f} MB; copy it to the machine and run install.sh there, as root")
