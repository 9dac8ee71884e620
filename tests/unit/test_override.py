"""Whole-file overrides of one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from hentou.errors import InvalidCollectiveError
from hentou.generation.fragment import File, Fragment
from hentou.generation.override import by_machine, override
from hentou.model.types import Pointer


class Files:
    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def files(self) -> Iterator[str]:
        yield from sorted(self._files)

    def read(self, path: str, limit: int | None = None) -> bytes:  # noqa: ARG002
        return self._files[path]


TREE = Files({"overrides/m/etc/motd": b"mine", "overrides/n/etc/x": b"x", "overrides/README.md": b"", "a": b""})
FRAGMENT = Fragment("base", files=(File("/etc/motd", b"ours", 0o600, "web", "web"), File("/etc/other", b"o")))


def test_by_machine() -> None:
    assert by_machine(TREE) == {"m": ("overrides/m/etc/motd",), "n": ("overrides/n/etc/x",)}


def test_content_is_replaced_and_the_rest_stays() -> None:
    (found,) = override(TREE, ("overrides/m/etc/motd",), (FRAGMENT,))
    assert found.files[0] == File(
        "/etc/motd", b"mine", 0o600, "web", "web",
        (Pointer("overrides/m/etc/motd"),), "overrides/m/etc/motd",
    )  # fmt: skip
    assert found.files[1] is FRAGMENT.files[1]


def test_an_override_of_nothing_is_a_problem() -> None:
    with pytest.raises(InvalidCollectiveError) as told:
        override(TREE, ("overrides/n/etc/x",), (FRAGMENT,))
    (problem,) = told.value.problems
    assert problem.path == "overrides/n/etc/x"
    assert problem.message == "nothing writes /etc/x on this machine"
