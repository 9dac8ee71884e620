"""Many objects of a Git repository in one go: a process for a whole history, not one for an entry of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hentou.effects.gitstore import GitStore

_AT_ONCE = 1000
"""Objects that are held in memory together."""


def read_many(store: GitStore, specs: Iterable[str]) -> Iterator[bytes | None]:
    """The bytes of every object that is asked for (`HASH`, `COMMIT:path`), in order; None for one that is not there."""
    asked = list(specs)
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        yield from _answers(store.git("cat-file", "--batch", stdin="".join(f"{spec}\n" for spec in some)).raw)


def _answers(data: bytes) -> Iterator[bytes | None]:
    here = 0
    while here < len(data):
        end = data.index(b"\n", here)
        words = data[here:end].split(b" ")
        # What is there is told as `HASH TYPE SIZE`; what is not, as `SPEC missing`.
        if len(words) != 3 or not words[2].isdigit():
            yield None
            here = end + 1
        else:
            begin, size = end + 1, int(words[2])
            yield data[begin : begin + size]
            here = begin + size + 1


def sizes(store: GitStore, hashes: Iterable[str]) -> list[int]:
    """The sizes of objects in bytes; 0 for one that is not there."""
    asked = "".join(f"{name}\n" for name in hashes)
    told = store.git("cat-file", "--batch-check=%(objectsize)", stdin=asked).stdout.splitlines()
    return [int(line) if line.isdigit() else 0 for line in told]


def copy(target: GitStore, source: GitStore, tips: Iterable[str], having: Iterable[str]) -> None:
    """Bring commits with their histories into another repository, durably, without what it has already.

    They become loose objects where they are few, a pack where they are many.
    """
    had = list(having)
    known = [tip for tip, size in zip(had, sizes(source, had), strict=True) if size]
    wanted = "".join([*(f"{tip}\n" for tip in tips), *(f"^{tip}\n" for tip in known)])
    count = source.git("rev-list", "--count", "--stdin", stdin=wanted).stdout.strip()
    packing = ("pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset")
    pack = source.git(*packing, stdin=wanted).raw
    unpack = ("unpack-objects", "-q", "--strict") if int(count) <= _FEW else ("index-pack", "--stdin", "--strict")
    target.git(*unpack, stdin=pack)


_FEW = 20
"""A pack is three files, each flushed to the disk."""
