"""Write a generation as a tree of files that people can read and compare."""

from __future__ import annotations

import shutil
from pathlib import Path

from hentou.generation.generation import Generation


def export(generation: Generation, target: Path) -> None:
    """Write `target`/manifest.json and `target`/files/…; what an earlier build left there goes.

    Owners need root and modes may forbid reading: both stay in the manifest, and files are plain.
    """
    if target.exists():
        shutil.rmtree(target)
    files = target / "files"
    files.mkdir(parents=True)
    (target / "manifest.json").write_bytes(generation.manifest.json)
    for entry in generation.manifest.entries:
        path = files / entry.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_link:
            path.symlink_to(entry.target)
        else:
            path.write_bytes(generation.contents[entry.digest])
