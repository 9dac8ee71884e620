"""The system calls that `disk.Disk` is made of; drills replace them by a disk that loses power."""

# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH115, PTH123, PTH208, PTH211
# These are the calls themselves, and a run that finds nothing to do makes thousands of them.

from __future__ import annotations

import os
import stat
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stat:
    """What stands at a path: `kind` is file, link, directory or other."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int


class Calls:
    """System calls on paths; each raises OSError as the kernel does."""

    def lstat(self, path: str) -> Stat | None:
        """What stands at a path, links not followed; None for nothing."""
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stat(_kind(found.st_mode), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_size)

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        with open(path, "rb") as file:
            return file.read()

    def readlink(self, path: str) -> str:
        """A link's target."""
        return os.readlink(path)

    def listdir(self, path: str) -> list[str]:
        """Names in a directory."""
        return os.listdir(path)

    def create(self, path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
        """Make a new file with its owner and mode, and flush its bytes."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)

    def reserve(self, path: str, size: int) -> None:
        """Make a file, or let one grow, so that it occupies `size` bytes."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, path)

    def link(self, source: str, path: str) -> None:
        """Give a file a second name."""
        os.link(source, path, follow_symlinks=False)

    def rename(self, source: str, path: str) -> None:
        """Move a name over another, atomically."""
        os.rename(source, path)

    def unlink(self, path: str) -> None:
        """Remove a file's or link's name."""
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        """Make a directory."""
        os.mkdir(path, 0o755)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def attributes(self, path: str, mode: int, uid: int, gid: int) -> None:
        """Give a directory its owner and mode; the owner first, for chown clears set-id bits."""
        os.chown(path, uid, gid, follow_symlinks=False)
        os.chmod(path, mode)

    def sync_directory(self, path: str) -> None:
        """Make a directory's names and attributes durable."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISLNK(mode):
        return "link"
    return "directory" if stat.S_ISDIR(mode) else "other"
