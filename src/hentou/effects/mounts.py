"""File systems stacked on one another, and the removal of trees that held some."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hentou.effects import process
from hentou.errors import HentouError


def overlay(lower: Sequence[Path], upper: Path, work: Path, root: Path) -> None:
    """Mount on `root` the union of `lower` (topmost first), where every change lands in `upper`.

    Nothing happens when something is mounted there already.
    """
    if root in below(root):
        return
    for directory in (upper, work, root):
        directory.mkdir(parents=True, exist_ok=True)
    stack = ":".join(str(layer) for layer in lower)
    options = f"lowerdir={stack},upperdir={upper},workdir={work}"
    process.run(["mount", "-t", "overlay", "hentou", "-o", options, root])


def below(directory: Path) -> list[Path]:
    """The mount points at or under a directory, deepest last."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))
        if point == directory or directory in point.parents:
            points.append(point)
    return points


def unmount(directory: Path) -> None:
    """Unmount everything at and under a directory."""
    for point in reversed(below(directory)):
        if process.run(["umount", point], check=False).status:
            # A program may still hold a file of it; detached, it goes when that program ends.
            process.run(["umount", "--lazy", point])


def remove(directory: Path) -> None:
    """Delete a tree, but never what is mounted in it; nothing happens when it is absent."""
    if held := below(directory):
        raise HentouError(f"{held[0]} is still mounted: {directory} was not removed", "unmount it first")
    if directory.is_dir():
        shutil.rmtree(directory)
