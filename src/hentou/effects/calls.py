"""The system calls that `disk.Disk` is made of; drills replace them by a disk that loses power.

Whatever changes a name first opens the folder that holds it, one component after the other. Links on the way are
followed only where they are root's (`/lib`, `/var/run`): an account that owns a folder cannot lead root elsewhere,
not even by exchanging it at the right moment.
"""

# ruff: noqa: PTH115, PTH123, PTH208
# These are the calls themselves, and a run that finds nothing to do makes thousands of them.

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
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
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            return file.read()

    def readlink(self, path: str) -> str:
        """A link's target."""
        return os.readlink(path)

    def listdir(self, path: str) -> list[str]:
        """Names in a directory."""
        return os.listdir(path)

    def create(self, path: str, data: bytes, mode: int, uid: int, gid: int) -> None:
        """Make a new file with its owner and mode, and flush its bytes."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with _folder(path) as (folder, name):
            handle = os.open(name, flags, 0o600, dir_fd=folder)
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
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with _folder(path) as (folder, name):
            handle = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link."""
        with _folder(path) as (folder, name):
            os.symlink(target, name, dir_fd=folder)

    def link(self, source: str, path: str) -> None:
        """Give a file a second name."""
        with _folder(source) as (origin, old), _folder(path) as (folder, name):
            os.link(old, name, src_dir_fd=origin, dst_dir_fd=folder, follow_symlinks=False)

    def rename(self, source: str, path: str) -> None:
        """Move a name over another, atomically."""
        with _folder(source) as (origin, old), _folder(path) as (folder, name):
            os.rename(old, name, src_dir_fd=origin, dst_dir_fd=folder)

    def unlink(self, path: str) -> None:
        """Remove a file's or link's name."""
        with _folder(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def mkdir(self, path: str) -> None:
        """Make a directory that all may enter, whatever the umask."""
        with _folder(path) as (folder, name):
            os.mkdir(name, 0o755, dir_fd=folder)
            with _directory(name, folder) as handle:
                os.fchmod(handle, 0o755)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        with _folder(path) as (folder, name):
            os.rmdir(name, dir_fd=folder)

    def attributes(self, path: str, mode: int, uid: int, gid: int) -> None:
        """Give a directory its owner and mode; the owner first, for chown clears set-id bits."""
        with _folder(path) as (folder, name), _directory(name, folder) as handle:
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)

    def sync_directory(self, path: str) -> None:
        """Make a directory's names and attributes durable."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
"""As many as the kernel follows."""


@contextmanager
def _folder(path: str) -> Iterator[tuple[int, str]]:
    """The folder that holds a path, open, and the name in it."""
    parent, _, name = path.rpartition("/")
    handle = _reach(parent)
    try:
        yield handle, name
    finally:
        os.close(handle)


@contextmanager
def _directory(name: str, folder: int) -> Iterator[int]:
    handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _reach(path: str) -> int:
    """A directory, open, through root's own links only."""
    handle = os.open("/", _PASS)
    parts, links = deque(path.split("/")), 0
    try:
        while parts:
            part = parts.popleft()
            if not part:
                continue
            try:
                inner = os.open(part, _PASS, dir_fd=handle)
            except NotADirectoryError:
                links += 1
                target = _trusted_target(part, handle, links)
                parts.extendleft(reversed(target.split("/")))
                if not target.startswith("/"):
                    continue
                inner = os.open("/", _PASS)
            os.close(handle)
            handle = inner
    except BaseException:
        os.close(handle)
        raise
    return handle


def _trusted_target(name: str, folder: int, links: int) -> str:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    if links > _MOST_LINKS or found.st_uid not in (0, os.geteuid()):
        raise OSError(errno.ELOOP, f"{name} is a link that is not followed", name)
    return os.readlink(name, dir_fd=folder)


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISLNK(mode):
        return "link"
    return "directory" if stat.S_ISDIR(mode) else "other"
