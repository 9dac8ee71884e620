"""A repository's files in memory: what tests and tools compile without touching a disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hentou.errors import HentouError


class MemoryTree:
    """Files from a mapping of paths to text or bytes; strays from a mapping of paths to what they are."""

    def __init__(self, files: Mapping[str, str | bytes], strays: Mapping[str, str] | None = None) -> None:
        self._files = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
        self._strays = dict(strays or {})

    def files(self) -> Iterator[str]:
        """Every file's path, sorted."""
        return iter(sorted(self._files))

    def strays(self) -> Iterator[tuple[str, str]]:
        """What was declared to be no regular file."""
        return iter(sorted(self._strays.items()))

    def read(self, path: str, limit: int | None = None) -> bytes:
        """One file's bytes; HentouError when it is absent or longer than `limit`."""
        if path not in self._files:
            raise HentouError(f"{path} does not exist", "write it, or correct the name that leads to it")
        if limit is not None and len(self._files[path]) > limit:
            raise too_long(path, limit)
        return self._files[path]


def too_long(path: str, limit: int) -> HentouError:
    """The error of a file that is longer than it may be."""
    return HentouError(
        f"{path} is larger than {limit:,} bytes",
        "shorten it, or move its data elsewhere",
    )
