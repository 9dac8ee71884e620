"""A disk in memory that loses power: what was not flushed may be gone, or there, or half there.

The model is stricter than journalling file systems are. Of each directory, an arbitrary prefix of the changes since
its last flush survives, whatever became of other directories. A file's bytes are sure only once it is flushed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from hentou.effects.calls import Calls, Stat


class PowerCutError(BaseException):
    """The power is gone."""


@dataclass
class Inode:
    """A file, link or directory. `flushed` are the bytes that survive a cut for sure."""

    kind: str
    mode: int = 0o755
    data: bytes = b""
    target: str = ""
    flushed: bytes | None = None
    names: dict[str, Inode] = field(default_factory=dict)
    durable: dict[str, Inode] = field(default_factory=dict)
    durable_mode: int = 0o755
    since: list[Callable[[dict[str, Inode]], None]] = field(default_factory=list)


class LossyCalls(Calls):
    """System calls on a tree in memory. The power is cut at the call number `cut_at`, counted from 1."""

    def __init__(self, capacity: int | None = None) -> None:
        self.root = Inode("directory")
        self.calls = 0
        self.cut_at: int | None = None
        self.capacity = capacity

    def _spend(self) -> None:
        self.calls += 1
        if self.calls == self.cut_at:
            raise PowerCutError

    def _find(self, path: str) -> Inode | None:
        here = self.root
        for part in path.strip("/").split("/") if path.strip("/") else []:
            if here.kind != "directory" or part not in here.names:
                return None
            here = here.names[part]
        return here

    def _parent(self, path: str) -> tuple[Inode, str]:
        folder, _, name = path.rpartition("/")
        found = self._find(folder)
        if found is None or found.kind != "directory":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return found, name

    def _get(self, path: str) -> Inode:
        found = self._find(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        return found

    def _set(self, path: str, node: Inode | None) -> None:
        folder, name = self._parent(path)

        def change(names: dict[str, Inode]) -> None:
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node

        change(folder.names)
        folder.since.append(change)

    def used(self) -> int:
        """Bytes that files occupy."""

        def weigh(node: Inode) -> int:
            return len(node.data) + sum(weigh(child) for child in node.names.values())

        return weigh(self.root)

    def _fits(self, size: int) -> None:
        if self.capacity is not None and self.used() + size > self.capacity:
            raise OSError(errno.ENOSPC, "No space left on device")

    def lstat(self, path: str) -> Stat | None:
        node = self._find(path)
        return Stat(node.kind, node.mode, 0, 0, len(node.data)) if node else None

    def read(self, path: str) -> bytes:
        return self._get(path).data

    def readlink(self, path: str) -> str:
        return self._get(path).target

    def listdir(self, path: str) -> list[str]:
        return list(self._get(path).names)

    def create(self, path: str, data: bytes, mode: int, uid: int, gid: int) -> None:  # noqa: ARG002
        self._spend()
        folder, name = self._parent(path)
        if name in folder.names:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        node = Inode("file", mode)
        self._set(path, node)
        self._fits(len(data))
        node.data = data
        self._spend()
        node.flushed, node.durable_mode = data, mode

    def reserve(self, path: str, size: int) -> None:
        self._spend()
        node = self._find(path) or Inode("file")
        self._set(path, node)
        self._fits(size - len(node.data))
        node.data = b"\0" * max(size, len(node.data))

    def symlink(self, target: str, path: str) -> None:
        self._spend()
        self._set(path, Inode("link", 0o777, target=target, durable_mode=0o777))

    def link(self, source: str, path: str) -> None:
        self._spend()
        self._set(path, self._get(source))

    def rename(self, source: str, path: str) -> None:
        self._spend()
        node = self._get(source)
        folder, name = self._parent(path)
        if name in folder.names and folder.names[name].kind == "directory":
            raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
        old = source.rpartition("/")[2]

        def change(names: dict[str, Inode]) -> None:
            names.pop(old, None)
            names[name] = node

        change(folder.names)
        folder.since.append(change)

    def unlink(self, path: str) -> None:
        self._spend()
        self._get(path)
        self._set(path, None)

    def mkdir(self, path: str) -> None:
        self._spend()
        self._set(path, Inode("directory"))

    def rmdir(self, path: str) -> None:
        self._spend()
        if self._get(path).names:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        self._set(path, None)

    def attributes(self, path: str, mode: int, uid: int, gid: int) -> None:  # noqa: ARG002
        self._spend()
        self._get(path).mode = mode

    def sync_directory(self, path: str) -> None:
        self._spend()
        node = self._get(path)
        node.durable, node.since, node.durable_mode = dict(node.names), [], node.mode

    def reboot(self, random: Random) -> None:
        """Come back with what the disk happened to keep."""
        self.cut_at = None
        _settle(self.root, random, set())

    def sync_all(self) -> None:
        """Everything is durable now, as long after the last change."""

        def sync(node: Inode) -> None:
            node.durable, node.since, node.durable_mode = dict(node.names), [], node.mode
            node.flushed = node.data
            for child in node.names.values():
                sync(child)

        sync(self.root)

    def tree(self, folder: str = "") -> dict[str, str]:
        """Everything but /var: paths with modes and contents."""
        found = {}
        for name, node in sorted(self._get(folder).names.items()):
            path = f"{folder}/{name}"
            if path == "/var":
                continue
            found[path] = f"{node.kind} {node.mode:o} {node.target}{node.data.decode()}"
            if node.kind == "directory":
                found |= self.tree(path)
        return found


def _settle(node: Inode, random: Random, seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    survived = dict(node.durable)
    for change in node.since[: random.randint(0, len(node.since))]:
        change(survived)
    node.names, node.durable, node.since = survived, dict(survived), []
    node.mode = random.choice((node.mode, node.durable_mode))
    node.durable_mode = node.mode
    if node.kind == "file":
        if node.flushed is None:
            node.data = node.data[: random.randint(0, len(node.data))]
        node.flushed = node.data
    for child in survived.values():
        _settle(child, random, seen)
