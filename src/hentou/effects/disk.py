"""The only door to the disk: whole files, replaced atomically, under one root directory.

What a power cut can leave is decided here. A file is written beside its place, flushed and renamed, so that a
reader sees the old bytes or the new ones. Names become durable at `flush`, once per directory, or at once with
`replace`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath

from hentou.effects.calls import Calls, Stat
from hentou.errors import HentouError

_LONGEST_NAME = 240
"""Bytes; Linux takes 255, and the name of a new version is longer by a few."""


class DiskError(HentouError):
    """The disk refused: full, read-only, or something else stands in the way."""


class LockedError(HentouError):
    """Another process holds a lock."""


class Disk:
    """Files under `root`, named by their absolute paths inside it."""

    def __init__(self, root: Path = Path("/"), calls: Calls | None = None) -> None:
        self._prefix = "" if str(root) == "/" else str(root)
        self._calls = calls or Calls()
        self._unsynced: set[str] = set()

    def at(self, path: str) -> str:
        """Where a path of the machine is on this host."""
        return f"{self._prefix}{path}"

    def stat(self, path: str) -> Stat | None:
        """What stands at a path, links not followed; None for nothing."""
        try:
            return self._calls.lstat(self.at(path))
        except OSError as refused:
            raise _explanation("look at", path, refused) from refused

    def read(self, path: str) -> bytes:
        """A file's bytes; DiskError when it cannot be read."""
        with _explained("read", path):
            return self._calls.read(self.at(path))

    def read_or_none(self, path: str) -> bytes | None:
        """A file's bytes, or None when there is no such file."""
        found = self.stat(path)
        return self.read(path) if found and found.kind == "file" else None

    def digest(self, path: str) -> str:
        """SHA-256 of a file's bytes, in hexadecimal."""
        return sha256(self.read(path)).hexdigest()

    def readlink(self, path: str) -> str:
        """A link's target."""
        with _explained("read", path):
            return self._calls.readlink(self.at(path))

    def names(self, path: str) -> list[str]:
        """Names in a directory, sorted; none when there is no such directory."""
        found = self.stat(path)
        if not found or found.kind != "directory":
            return []
        return sorted(self._calls.listdir(self.at(path)))

    def write(self, path: str, data: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Put a whole file in place, atomically; durable after `flush`."""
        self._place(path, lambda beside: self._calls.create(beside, data, mode, uid, gid))

    def replace(self, path: str, data: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Put a whole file in place, atomically, and return once it is durable."""
        self.write(path, data, mode, uid, gid)
        self._sync(parent(path))

    def symlink(self, path: str, target: str) -> None:
        """Put a symbolic link in place, atomically; durable after `flush`."""
        self._place(path, lambda beside: self._calls.symlink(target, beside))

    def link(self, source: str, path: str) -> None:
        """Give a file a second name, in place of what bore it; durable after `flush`."""
        self._place(path, lambda beside: self._calls.link(self.at(source), beside))

    def _place(self, path: str, make: Callable[[str], None]) -> None:
        beside = self.at(temporary(path))
        with _explained("write", path):
            self.clear_temporary(path)
            try:
                make(beside)
            except OSError:
                self.clear_temporary(path)
                raise
            self._calls.rename(beside, self.at(path))
        self._unsynced.add(parent(path))

    def clear_temporary(self, path: str) -> None:
        """Remove what an interrupted write of `path` left beside it."""
        beside = self.at(temporary(path))
        if self._calls.lstat(beside):
            self._calls.unlink(beside)
            self._unsynced.add(parent(path))

    def reserve(self, path: str, size: int) -> None:
        """Occupy at least `size` bytes, to be freed when an undo needs them; nothing stays on failure."""
        with _explained("reserve space for", path):
            try:
                self._calls.reserve(self.at(path), size)
            except OSError as refused:
                self.remove(path)
                if refused.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise

    def make_directory(self, path: str) -> list[str]:
        """Make a directory and its missing parents (root, 0755); return those made, outermost first."""
        missing = []
        here = path
        while here != "/" and self.stat(here) is None:
            missing.append(here)
            here = parent(here)
        with _explained("make", path):
            for name in reversed(missing):
                self._calls.mkdir(self.at(name))
                self._unsynced.add(parent(name))
        return missing[::-1]

    def attributes(self, path: str, mode: int, uid: int, gid: int) -> None:
        """Give a directory its mode and owner; durable after `flush`. Files are written whole instead."""
        with _explained("change", path):
            self._calls.attributes(self.at(path), mode, uid, gid)
        self._unsynced.add(path)

    def remove(self, path: str) -> bool:
        """Remove a file or link; False when there was none. Durable after `flush`."""
        found = self.stat(path)
        if found is None:
            return False
        with _explained("remove", path):
            self._calls.unlink(self.at(path))
        self._unsynced.add(parent(path))
        return True

    def remove_directory(self, path: str) -> bool:
        """Remove a directory if it is empty; False when it stays. Durable after `flush`."""
        found = self.stat(path)
        if not found or found.kind != "directory":
            return False
        try:
            self._calls.rmdir(self.at(path))
        except OSError as refused:
            if refused.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise DiskError(f"cannot remove {path}: {refused.strerror}") from refused
        self._unsynced.discard(path)
        self._unsynced.add(parent(path))
        return True

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all it holds."""
        for name in self.names(path):
            inner = f"{path}/{name}"
            found = self.stat(inner)
            if found and found.kind == "directory":
                self.remove_tree(inner)
            else:
                self.remove(inner)
        self.remove_directory(path)

    def flush(self) -> None:
        """Return once every name written, linked or removed through this object is durable."""
        for path in sorted(self._unsynced):
            self._sync(path)

    def _sync(self, path: str) -> None:
        self._unsynced.discard(path)
        # A directory that is gone has nothing to keep: its removal is its parent's to make durable.
        if path == "/" or self.stat(path) is not None:
            with _explained("flush", path):
                self._calls.sync_directory(self.at(path) or "/")

    @contextmanager
    def lock(self, path: str, message: str) -> Iterator[None]:
        """Hold an exclusive lock (flock) that the kernel lets go with the process; LockedError if taken."""
        with _explained("open", path):
            handle = os.open(self.at(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as taken:
                raise LockedError(message, "wait for it to end, then run the command again") from taken
            yield
        finally:
            os.close(handle)


def parent(path: str) -> str:
    """The directory that holds a path."""
    return str(PurePosixPath(path).parent)


def temporary(path: str) -> str:
    """The name beside `path` under which a new version is prepared: hidden, and of no known suffix."""
    folder, _, name = path.rpartition("/")
    if len(name.encode()) > _LONGEST_NAME:
        name = sha256(name.encode()).hexdigest()
    return f"{folder}/.{name}.hentou"


@contextmanager
def _explained(verb: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        raise _explanation(verb, path, refused) from refused


def _explanation(verb: str, path: str, refused: OSError) -> DiskError:
    hints = {
        errno.ENOSPC: "free some space on this machine, then run `hentou converge` again",
        errno.EDQUOT: "free some space on this machine, then run `hentou converge` again",
        errno.EACCES: "run it as root, such as with sudo",
        errno.EPERM: "run it as root, such as with sudo",
    }
    return DiskError(f"cannot {verb} {path}: {refused.strerror or refused}", hints.get(refused.errno or 0, ""))
