"""Every machine's generation of a small collective, compared whole: the set of files, and each file's bytes.

`make golden` writes the expected files again; review the difference as you would review code.
"""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hentou import compose
from hentou.effects.tree import open_tree
from hentou.generation.generation import Generation

HERE = Path(__file__).parent
EXPECTED = HERE / "expected"
MACHINES = ("anchor", "gorse", "heather", "lighthouse")


@cache
def generations() -> dict[str, Generation]:
    compiler = compose.compiler(compose.load(open_tree(HERE / "collective")))
    return {generation.manifest.machine: generation for generation in compiler.generations()}


def expected_files(generation: Generation) -> dict[str, bytes]:
    """What is kept of a generation: its files, and all that is no file in one readable page."""
    manifest = generation.manifest
    kept = {f"files{entry.path}": generation.contents[entry.digest] for entry in manifest.entries if not entry.is_link}
    record: dict[str, Any] = json.loads(manifest.json)
    for entry in record["entries"]:
        # Said by the file itself; repeating it would bury a real difference.
        del entry["digest"], entry["size"]
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False)
    kept["manifest.json"] = f"{text}\n".encode()
    return kept


def kept_files(machine: str) -> dict[str, bytes]:
    folder = EXPECTED / machine
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def regenerate() -> None:
    shutil.rmtree(EXPECTED, ignore_errors=True)
    for machine, generation in generations().items():
        for name, data in expected_files(generation).items():
            path = EXPECTED / machine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


if os.environ.get("HENTOU_REGENERATE"):
    regenerate()


def test_every_managed_machine_is_compiled_and_no_other() -> None:
    assert tuple(sorted(generations())) == MACHINES
    assert sorted(path.name for path in EXPECTED.iterdir()) == list(MACHINES)


@pytest.mark.parametrize("machine", MACHINES)
def test_set_of_files_is_as_expected(machine: str) -> None:
    assert sorted(expected_files(generations()[machine])) == sorted(kept_files(machine))


@pytest.mark.parametrize("machine", MACHINES)
def test_bytes_of_files_are_as_expected(machine: str) -> None:
    found, kept = expected_files(generations()[machine]), kept_files(machine)
    for name in sorted(found.keys() & kept.keys()):
        assert found[name].decode() == kept[name].decode(), name


def test_compiling_twice_gives_the_same_bytes() -> None:
    compiler = compose.compiler(compose.load(open_tree(HERE / "collective")))
    for generation in compiler.generations():
        assert generation.id == generations()[generation.manifest.machine].id


def test_every_entry_says_why_it_is_there() -> None:
    silent = [
        entry.path
        for generation in generations().values()
        for entry in generation.manifest.entries
        if not entry.because
    ]
    assert silent == []
