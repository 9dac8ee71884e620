"""Take a lab down to the last trace, found by names and in /proc: also what no record tells of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hentou.effects import containers, locks, mounts, namespaces
from hentou.lab.network import MARK, scope

WORK = Path("/var/lib/hentou/lab")
"""Where labs keep their machines' disks and their record, a directory each."""


def busy(lab: str) -> str:
    """What to say when another command holds a lab."""
    return f"lab {lab} is being started or taken down by another command"


def remove(lab: str, work: Path = WORK) -> None:
    """Take a lab down; nothing happens when there is none."""
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
