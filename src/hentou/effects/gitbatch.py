"""Many questions to one Git repository, answered by one process instead of one each."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Self

from hentou.effects.git import clean_environment
from hentou.effects.gitstore import GitStore
from hentou.effects.process import Conversation, converse
from hentou.errors import HentouError

_WORDS = ("cat-file", "--batch-command")
_COMMIT = 2**20
"""Bytes of a commit that are read to find its parents: one of zeros is small on its way here, and large in memory."""

_FOLDER_LISTING = 2**20
"""Bytes of one listing of a folder that are looked at."""


class Batch(GitStore):
    """A repository that is asked much: `git cat-file --batch-command` answers. For one thread, in a `with` block.

    Objects that arrive meanwhile are seen: Git looks again for what it does not find.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._put("_asked", None)
        self._put("_parents", {})
        self._put("_whole", set())

    def _put(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the store itself is frozen; what is remembered of it is not

    _asked: Conversation | None
    _parents: dict[str, tuple[str, ...]]
    _whole: set[str]

    def __enter__(self) -> Self:
        """Start to ask."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process that answers."""
        if self._asked:
            for stream in _streams(self._asked):
                stream.close()
            self._asked.wait()
            self._put("_asked", None)

    @property
    def _answering(self) -> Conversation:
        if self._asked is None:
            self._put("_asked", converse(["git", "--git-dir", str(self.path), *_WORDS], clean_environment()))
        assert self._asked  # noqa: S101 - made above
        return self._asked

    def _ask(self, verb: str, spec: str) -> tuple[str, str, int] | None:
        """Kind, hash and size of what a name means; None where it means nothing, or is no name at all."""
        if not spec or "\n" in spec:
            return None
        asking, answering = _streams(self._answering)
        asking.write(f"{verb} {spec}\n".encode())
        asking.flush()
        line = answering.readline().decode(errors="replace")
        if not line:
            hint = f"check it with `git --git-dir {self.path} fsck`"
            raise HentouError(f"Git stopped answering about {self.path}", hint)
        # The answer to an unknown name repeats it, and the name may have spaces.
        name, _, rest = line.rstrip("\n").partition(" ")
        kind, _, size = rest.partition(" ")
        return (kind, name, int(size)) if size.isdigit() and len(name) in (40, 64) else None

    def _contents(self, kind: str, spec: str, limit: int | None) -> bytes | None:
        found = self._ask("info", spec)
        if found is None or found[0] != kind or (limit is not None and found[2] > limit):
            return None
        again = self._ask("contents", found[1])
        return _streams(self._answering)[1].read(again[2] + 1)[:-1] if again else None

    def read(self, commit: str, path: str, limit: int) -> bytes | None:
        """As `GitStore.read`."""
        return self._contents("blob", f"{commit}:{path}", limit)

    def raw(self, kind: str, spec: str, limit: int | None = None) -> bytes:
        """As `GitStore.raw`."""
        data = self._contents(kind, spec, limit)
        if data is None:
            raise HentouError(f"Git has no {kind} {spec}", f"check it with `git --git-dir {self.path} fsck`")
        return data

    def names(self, commit: str, folder: str = "") -> list[str]:
        """As `GitStore.names`; none where the listing is longer than a megabyte."""
        found = self._ask("info", f"{commit}:{folder}")
        data = self._contents("tree", found[1], _FOLDER_LISTING) if found else None
        return _names(data, len(found[1]) // 2) if data and found else []

    def parents(self, commit: str) -> tuple[str, ...]:
        """As `GitStore.parents`."""
        if commit in self._parents:
            return self._parents[commit]
        header = self.raw("commit", commit, _COMMIT).partition(b"\n\n")[0]
        return tuple(line[7:].decode() for line in header.split(b"\n") if line.startswith(b"parent "))

    def look_over(self, tip: str, below: str) -> None:
        """Learn at once which commits lead from `below` to `tip`, when all of them are here."""
        if not super().has(tip):
            return
        words = ["rev-list", "--parents", tip, *([f"^{below}"] if below else [])]
        done = self.git(*words, check=False)
        for line in done.stdout.splitlines() if not done.status else []:
            commit, *parents = line.split()
            self._parents[commit] = tuple(parents)
            self._whole.add(commit)

    def has(self, commit: str) -> bool:
        """As `GitStore.has`."""
        return commit in self._whole or super().has(commit)

    def is_ancestor(self, old: str, new: str) -> bool:
        """As `GitStore.is_ancestor`; among commits that were looked over, without a process."""
        seen = {new}
        waiting = [new]
        while waiting:
            here = waiting.pop()
            if here == old:
                return True
            fresh = [commit for commit in self._parents.get(here, ()) if commit not in seen]
            seen.update(fresh)
            waiting += fresh
        # What was looked over may begin above `old`.
        return super().is_ancestor(old, new)


def _streams(asked: Conversation) -> tuple[IO[bytes], IO[bytes]]:
    assert asked.stdin and asked.stdout  # noqa: S101 - both are pipes
    return asked.stdin, asked.stdout


def _names(tree: bytes, width: int) -> list[str]:
    """The names in a tree object: `MODE NAME`, a zero, the hash; folders and the like are left in."""
    names = []
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        names.append(tree[at:end].partition(b" ")[2].decode(errors="replace"))
        at = end + 1 + width
    return names
