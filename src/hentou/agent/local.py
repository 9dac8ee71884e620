"""Where a machine keeps its name and its repository, and how it is told who it is."""

from __future__ import annotations

from hentou.agent.store import BASE
from hentou.effects.disk import Disk
from hentou.errors import HentouError

MACHINE_FILE = "/etc/hentou/machine"
NOT_COMPILED = 6
"""Exit status of `hentou converge --commit` for a commit that this machine cannot be compiled from; the others are
those of `activate.Exit`.
"""

REPOSITORY = f"{BASE}/repo.git"


def machines_only(disk: Disk) -> None:
    """HentouError on a computer that was never made a machine, before anything is kept on it."""
    if disk.stat(f"{BASE}/overwritten") is None:
        this_machine(disk)


def this_machine(disk: Disk | None = None) -> str:
    """The name of the machine that this runs on; HentouError where nobody wrote it."""
    data = (disk or Disk()).read_or_none(MACHINE_FILE)
    if data is None:
        raise HentouError(
            f"this machine does not know its name: {MACHINE_FILE} is missing",
            f"write its name there (`echo NAME > {MACHINE_FILE}`), or give --machine NAME",
        )
    return data.decode(errors="replace").strip()
