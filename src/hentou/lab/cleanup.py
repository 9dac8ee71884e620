"""Take a lab down to the last trace, found by names and in /proc: also what no record tells of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hentou.effects import containers, locks, mounts, namespaces
from hentou.errors import HentouError
from hentou.lab.network import MARK, scope

WORK = Path("/var/lib/hentou/lab")
"""Where labs keep their machines' disks and their record, a directory each."""


RECORD = "lab.json"
"""What a lab that has booted leaves in its directory for later commands."""

_NAME = re.compile(r"[a-z0-9](-?[a-z0-9]){0,14}")
"""Names of labs: short, since kernel names hold them, and without a dot, which ends them there."""


def check_name(lab: str) -> None:
    """HentouError for a name that no lab can have: it is part of paths that are removed."""
    if not _NAME.fullmatch(lab):
        raise HentouError(f"{lab!r} cannot be a lab's name", "1 to 15 lower-case letters, digits and hyphens")


def labs(work: Path = WORK) -> list[str]:
    """The labs that are up."""
    return sorted(record.parent.name for record in work.glob(f"*/{RECORD}"))


def busy(lab: str) -> str:
    """What to say when another command holds a lab."""
    return f"lab {lab} is being started or taken down by another command"


def remove(lab: str, work: Path = WORK) -> None:
    """Take a lab down; nothing happens when there is none."""
    check_name(lab)
    with locks.exclusive(work / lab, busy(lab)):
        sweep(lab, work)
    for directory in (work, *([work.parent] if work == WORK else [])):
        with suppress(OSError):  # another lab, or this host's own hentou, has files there
            directory.rmdir()


def sweep(lab: str, work: Path) -> None:
    """End every process of a lab, then remove its mounts, namespaces, control groups and files."""
    containers.kill_all(lambda: processes(lab))
    for root in (work / lab).glob("machines/*/root"):
        containers.unlock(root)
    mounts.unmount(work / lab)
    for name in namespaces.names(scope(lab)):
        namespaces.delete(name)
    containers.forget(f"{scope(lab)}*")
    mounts.remove(work / lab)


def processes(lab: str) -> Iterator[int]:
    """Every process on this host that belongs to a lab."""
    yield from containers.marked(MARK, lab)
    yield from containers.supervisors(f"{scope(lab)}*")
    yield from namespaces.processes(namespaces.names(scope(lab)))
