"""A collective's author, a machine that is pinned to it, and a peer that serves what the author says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sync_world import Author, Machine


@pytest.fixture
def author(tmp_path: Path) -> Author:
    from sync_world import founded  # most tests here need none of it

    return founded(tmp_path / "ann")[0]


@pytest.fixture
def pinned(tmp_path: Path, author: Author) -> Machine:
    """A machine that is pinned, and has accepted nothing yet."""
    from sync_world import Machine

    found = Machine(tmp_path / "machine")
    found.pin(author.first)
    return found


@pytest.fixture
def machine(pinned: Machine) -> Machine:
    """The one that most tests look at; those that want it further on take `stepped` for it."""
    return pinned


@pytest.fixture
def stepped(author: Author, pinned: Machine) -> Machine:
    """The pinned machine, once it has accepted one step."""
    author.push(pinned, author.publish())
    pinned.sync()
    return pinned


@pytest.fixture
def served(tmp_path: Path, author: Author) -> Iterator[str]:
    """A peer that serves whatever the author's repository calls its newest statement."""
    from sync_world import daemon

    (tmp_path / "peer").mkdir()
    (tmp_path / "peer/repo.git").symlink_to(author.path)
    with daemon(tmp_path / "peer") as address:
        yield address
