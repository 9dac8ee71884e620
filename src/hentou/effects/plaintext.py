"""A secret as a file for a moment: in memory, for its owner alone, and overwritten whatever happens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hentou.errors import HentouError

_IN_MEMORY = ("tmpfs", "ramfs")


@contextmanager
def in_memory(value: bytes, name: str = "secret") -> Iterator[Path]:
    """A file with this value in a directory of its own, both gone after; HentouError where no memory can hold it.

    What a program leaves beside it, such as an editor's copies, goes too.
    """
    with tempfile.TemporaryDirectory(prefix="hentou-", dir=_place()) as folder:
        file = Path(folder) / name
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(value)
            yield file
        finally:
            for left in Path(folder).rglob("*"):
                if left.is_file() and not left.is_symlink():
                    _overwrite(left)


def _overwrite(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"\0" * file.stat().st_size)


def _place() -> Path:
    candidates = (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm", "/run")  # noqa: S108 - private folders in it
    for candidate in filter(None, candidates):
        path = Path(candidate)
        if path.is_dir() and os.access(path, os.W_OK | os.X_OK) and _kind(path.resolve()) in _IN_MEMORY:
            return path
    raise HentouError("no file system in memory to edit a secret in", "mount one: `mount -t tmpfs tmpfs /dev/shm`")


def _kind(path: Path) -> str:
    """The type of the file system that holds a path."""
    best, kind = Path("/"), ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, source = line.partition(" - ")
        point = Path(fields.split()[4].encode().decode("unicode_escape"))
        if (point == path or point in path.parents) and len(point.parts) >= len(best.parts):
            best, kind = point, source.split()[0]
    return kind
