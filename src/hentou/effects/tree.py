"""A collective's repository as a directory or a Git revision: regular files only, nothing is followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from weakref import finalize

from hentou.effects.git import clean_environment, resolve
from hentou.effects.process import Conversation, converse, run
from hentou.errors import HentouError
from hentou.model.memory import too_long
from hentou.model.types import Tree

DEEPEST = 40
"""Folders inside folders: more is a mistake or an attack."""

MOST = 100_000
"""Files in all: more is a mistake or an attack, too."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
}
_TOO_DEEP = f"a folder deeper than {DEEPEST} levels"
_BAD_NAME = "a file whose name is not UTF-8"
_CONTROL = "a file whose name holds control characters"
_NO_PATH = "a name that leads elsewhere"
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def open_tree(directory: Path, rev: str = "") -> Tree:
    """A directory's files as they are now or, with `rev`, as they are in a revision of its Git repository."""
    return GitTree(directory, rev) if rev else DirectoryTree(directory)


def _is_own(name: str) -> bool:
    """Whether a name at the top belongs to tools (`.git`, `.venv`, `.github`), not to the collective."""
    return name.startswith(".")


def _is_text(name: str) -> bool:
    """Whether a name could be decoded (undecodable bytes become lone surrogates, or U+FFFD from Git)."""
    return "\N{REPLACEMENT CHARACTER}" not in name and name.encode(errors="replace").decode() == name


def _fault(path: str) -> str:
    """Why a path cannot be that of a file, whatever it holds; empty when it can.

    Git's own commands make no `..`, but a tree made by hand may hold any bytes as a name.
    """
    if not _is_text(path):
        return _BAD_NAME
    if _CONTROLS.search(path):
        return _CONTROL
    return _NO_PATH if any(part in ("", ".", "..") for part in path.split("/")) else ""


def _shown(name: str) -> str:
    """A name that a terminal can print without obeying it."""
    return _CONTROLS.sub("?", name.encode(errors="replace").decode())


def _too_many(count: int) -> None:
    if count > MOST:
        raise HentouError(f"more than {MOST} files", "keep pictures and films in services; the repository is for text")


class DirectoryTree:
    """A directory's files as they are now. Symbolic links and special files are named, never opened.

    The list of files is taken at the first question; their bytes are read when asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _found(self) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        if not self.root.is_dir():
            raise HentouError(f"{self.root} is not a directory", "give the directory of a collective")
        files: list[str] = []
        strays: list[tuple[str, str]] = []
        pending = [""]
        while pending:
            prefix = pending.pop()
            for entry in self._entries(prefix):
                path = prefix + entry.name
                if not prefix and _is_own(entry.name):
                    continue
                if fault := _fault(path):
                    strays.append((_shown(path), fault))
                elif entry.is_dir(follow_symlinks=False):
                    if path.count("/") < DEEPEST:
                        pending.append(f"{path}/")
                    else:
                        strays.append((path, _TOO_DEEP))
                elif entry.is_file(follow_symlinks=False):
                    files.append(path)
                    _too_many(len(files))
                else:
                    strays.append((path, _kind(entry.stat(follow_symlinks=False).st_mode)))
        return tuple(sorted(files)), tuple(sorted(strays))

    def _entries(self, prefix: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / prefix) as entries:
                return list(entries)
        except OSError as error:
            raise HentouError(
                f"{self.root / prefix}: {error.strerror}", "give this user the right to read it"
            ) from error

    def files(self) -> Iterator[str]:
        """Every regular file's path, sorted."""
        return iter(self._found[0])

    def strays(self) -> Iterator[tuple[str, str]]:
        """Symbolic links, pipes, sockets, devices, and what cannot be named."""
        return iter(self._found[1])

    def read(self, path: str, limit: int | None = None) -> bytes:
        """One file's bytes; HentouError when it is absent, no regular file, or longer than `limit`."""
        try:
            descriptor = self._open(path)
        except OSError as error:
            raise HentouError(f"{path}: {error.strerror}", "put a regular file there") from error
        try:
            # The file may have been exchanged for something else since it was listed.
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise HentouError(f"{path} is {_kind(mode)}", "put a regular file there")
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                data = stream.read() if limit is None else stream.read(limit + 1)
        finally:
            os.close(descriptor)
        if limit is not None and len(data) > limit:
            raise too_long(path, limit)
        return data

    def _open(self, path: str) -> int:
        """Open a file without following a symbolic link anywhere below the root."""
        *folders, name = path.split("/")
        if any(part in ("", ".", "..") for part in (*folders, name)):
            raise HentouError(f"{path!r} is not a path inside the repository", "correct the path")
        current = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                inner = os.open(folder, flags, dir_fd=current)
                os.close(current)
                current = inner
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            return os.open(name, flags, dir_fd=current)
        finally:
            os.close(current)


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "no regular file")


class _Blob(NamedTuple):
    object_id: str
    size: int


class GitTree:
    """The files of one revision, from a working copy or a bare repository, without checking them out.

    A directory inside a working copy means that directory of the revision. The revision is resolved once:
    a branch that moves later changes nothing here.
    """

    def __init__(self, repository: Path, rev: str) -> None:
        self.repository = repository
        self.rev = rev
        self._lock = Lock()

    @cached_property
    def _found(self) -> tuple[dict[str, _Blob], tuple[tuple[str, str], ...]]:
        command: list[str | Path] = ["git", "-C", self.repository, "ls-tree", "-rzl", "--full-tree", self._tree_id]
        listing = run(command, env=clean_environment()).stdout
        _too_many(listing.count("\0"))
        blobs: dict[str, _Blob] = {}
        strays: list[tuple[str, str]] = []
        for line in listing.split("\0")[:-1]:
            about, _, path = line.partition("\t")
            mode, _, object_id, size = about.split()
            if _is_own(path):
                continue
            if fault := _fault(path):
                strays.append((_shown(path), fault))
            elif path.count("/") > DEEPEST:
                strays.append((path, f"in {_TOO_DEEP}"))
            elif mode.startswith("100"):
                blobs[path] = _Blob(object_id, int(size))
            else:
                strays.append((path, "a submodule" if mode == "160000" else "a symbolic link"))
        return blobs, tuple(sorted(strays))

    @cached_property
    def commit(self) -> str:
        """The hash of the revision's commit, as it was when first asked for."""
        return resolve(self.repository, self.rev)

    @cached_property
    def _tree_id(self) -> str:
        commit, git = self.commit, ["git", "-C", str(self.repository), "rev-parse"]
        prefix = run([*git, "--show-prefix"], env=clean_environment()).stdout.strip()
        wanted = f"{commit}:{prefix}" if prefix else f"{commit}^{{tree}}"
        found = run([*git, "--verify", "--quiet", wanted], check=False, env=clean_environment())
        if found.status:
            raise HentouError(f"{self.rev} has no folder {prefix}", "`git log --oneline --all` lists revisions")
        return found.stdout.strip()

    def files(self) -> Iterator[str]:
        """Every regular file's path, sorted."""
        return iter(sorted(self._found[0]))

    def strays(self) -> Iterator[tuple[str, str]]:
        """Symbolic links, submodules, and what cannot be named."""
        return iter(self._found[1])

    def read(self, path: str, limit: int | None = None) -> bytes:
        """One file's bytes; HentouError when it is absent, no regular file, or longer than `limit`."""
        blob = self._found[0].get(path)
        if blob is None:
            raise HentouError(f"{path} is no regular file of {self.rev}", "commit it, or correct its name")
        if limit is not None and blob.size > limit:
            raise too_long(path, limit)
        with self._lock:
            return self._ask(blob)

    def _ask(self, blob: _Blob) -> bytes:
        process = self._process
        assert process.stdin and process.stdout  # noqa: S101 - both are pipes
        process.stdin.write(f"{blob.object_id}\n".encode())
        process.stdin.flush()
        if not process.stdout.readline().rstrip().endswith(str(blob.size).encode()):
            raise HentouError(
                f"Git cannot read object {blob.object_id} of {self.rev}",
                "check it with `git fsck`",
            )
        data = process.stdout.read(blob.size + 1)
        if len(data) != blob.size + 1:
            raise HentouError(f"Git stopped in the middle of object {blob.object_id}", "check it with `git fsck`")
        return data[:-1]

    @cached_property
    def _process(self) -> Conversation:
        process = converse(["git", "-C", self.repository, "cat-file", "--batch"], clean_environment())
        finalize(self, _end, process)
        return process


def _end(process: Conversation) -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    process.wait()
