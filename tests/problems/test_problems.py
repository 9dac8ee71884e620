"""Each folder here is a collective with something wrong, and what `hentou check` must say of it.

A case holds only the files that differ from `_base`; `remove.txt` names files of it that are taken away,
`strays.txt` what is there but no regular file, and `expected.txt` the whole report. After a change of words,
`make golden` writes the reports again: read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from hentou.errors import InvalidCollectiveError
from hentou.model.load import load
from hentou.model.memory import MemoryTree
from hentou.model.types import Collective, Spec

HERE = Path(__file__).parent
CASES = sorted(path.name for path in HERE.iterdir() if path.is_dir() and path.name[0] not in "_.")
NOT_FILES = ("expected.txt", "remove.txt", "strays.txt")


class Hello(Spec):
    greeting: str = "Demat"
    loud: bool = False


class Mesh(Spec):
    port: int = Field(51820, ge=1, le=65535)


class Website(Spec):
    source: str = Field(description="A folder of this repository, or the address of a Git repository.")
    theme: Literal["plain", "dark"] = "plain"


def compiled(tree: MemoryTree) -> Collective:
    return load(tree, {"hello": Hello, "mesh": Mesh}, {"website": Website})


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def words(files: dict[str, bytes], name: str) -> list[str]:
    return files.get(name, b"").decode().splitlines()


def tree_of(case: str) -> MemoryTree:
    own = files_of(HERE / case)
    files = {**files_of(HERE / "_base"), **own}
    for name in (*words(own, "remove.txt"), *NOT_FILES):
        files.pop(name, None)
    return MemoryTree(files, dict(line.split(": ") for line in words(own, "strays.txt")))


def test_the_base_has_no_problem() -> None:
    assert list(compiled(tree_of("_base")).machines) == ["kerminy-1", "konkarlab-1", "vps-1", "yunohost"]


@pytest.mark.parametrize("case", CASES)
def test_report(case: str) -> None:
    with pytest.raises(InvalidCollectiveError) as caught:
        compiled(tree_of(case))
    report = "\n\n".join(str(problem) for problem in caught.value.problems) + "\n"
    expected = HERE / case / "expected.txt"
    if os.environ.get("HENTOU_REGENERATE"):
        expected.write_text(report)
    assert report == expected.read_text()


@pytest.mark.parametrize("case", CASES)
def test_every_problem_gives_one_next_action(case: str) -> None:
    with pytest.raises(InvalidCollectiveError) as caught:
        compiled(tree_of(case))
    assert all(problem.hint and problem.message for problem in caught.value.problems)
