"""The power is cut at every point of a sync: no step is lost, none is taken twice, repository and trust agree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sync_world import Author, Machine, daemon, founded

from hentou.ledger import statements

pytestmark = pytest.mark.integration

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from sync_world import Machine
Machine(Path({root!r})).sync(stop_before={point})
"""
MOST = 60


def cut(machine: Machine, point: int) -> bool:
    """Sync in a process that dies before this cut point; whether it did."""
    code = CHILD.format(tests=str(Path(__file__).parent), root=str(machine.root), point=point)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def whole(machine: Machine) -> None:
    """What must hold at any time, before anything is put right."""
    trust = machine.trust
    if trust.sequence:
        assert machine.trusted.repo.has(trust.head), "trusted, and not there"
    accepted = [step["sequence"] for step in machine.remembered.get("accepted", [])]  # type: ignore[attr-defined]
    assert accepted == sorted(set(accepted)), "a step was taken twice"
    assert not accepted or accepted[-1] <= trust.sequence


def settled(machine: Machine, author: Author) -> None:
    """What must hold after the next sync."""
    last = author.chain[-1]
    repo = machine.trusted.repo
    assert machine.trust.sequence == last.statement.sequence
    assert machine.trust.statement == last.statement.digest
    assert repo.get("refs/heads/main") == last.statement.head
    assert statements.read(repo, repo.get(statements.REF)).statement == last.statement
    assert repo.refs("refs/hentou/fetched") == {}
    accepted = [step["sequence"] for step in machine.remembered["accepted"]]  # type: ignore[attr-defined]
    assert accepted == sorted(set(accepted))
    assert accepted[-1] == last.statement.sequence
    assert machine.host.store.state().commit == last.statement.head, "accepted, and not active"


def every_point(tmp_path: Path, author: Author, prepare: Callable[[Machine], None]) -> int:
    for point in range(1, MOST):
        machine = Machine(tmp_path / f"machine-{point}")
        machine.pin(author.first)
        prepare(machine)
        died = cut(machine, point)
        whole(machine)
        machine.sync()
        whole(machine)
        settled(machine, author)
        if not died:
            return point - 1
    pytest.fail("it never came to its end")


def test_steps_from_the_inbox(tmp_path: Path) -> None:
    author, _ = founded(tmp_path / "ann")
    for _ in range(2):
        author.publish()
    assert every_point(tmp_path, author, lambda machine: author.push(machine, author.chain[-1])) >= 10


def test_steps_from_a_peer(tmp_path: Path) -> None:
    author, _ = founded(tmp_path / "ann")
    for _ in range(2):
        author.publish()
    first = Machine(tmp_path / "first")
    first.pin(author.first)
    author.push(first, author.chain[-1])
    first.sync()
    with daemon(first.at("")) as address:
        assert every_point(tmp_path, author, lambda machine: machine.peers(first=address)) >= 10


def test_locks_that_are_left_over(tmp_path: Path) -> None:
    """Git itself may be what is cut off, in the middle of moving a ref."""
    author, _ = founded(tmp_path / "ann")
    machine = Machine(tmp_path / "machine")
    machine.pin(author.first)
    author.push(machine, author.publish())
    machine.sync()
    author.push(machine, author.publish())
    left = [machine.at("repo.git") / name for name in ("refs/heads/main.lock", "packed-refs.lock")]
    left.append(machine.at("inbox.git/refs/hentou/proposals/ann.lock"))
    for lock in left:
        lock.touch()
    (machine.root / "run/hentou/synced").unlink()
    machine.sync()
    settled(machine, author)
    assert not any(lock.exists() for lock in left)
    # Without a boot between, only what is old is taken away.
    left[0].touch()
    machine.sync()
    assert left[0].exists()
    os.utime(left[0], (1, 1))
    author.push(machine, author.publish())
    machine.sync()
    settled(machine, author)


def test_twice_in_a_row(tmp_path: Path) -> None:
    """A machine that dies at every point of every try still gets on, one point further each time."""
    author, _ = founded(tmp_path / "ann")
    machine = Machine(tmp_path / "machine")
    machine.pin(author.first)
    author.push(machine, author.publish())
    for point in range(1, MOST):
        if not cut(machine, point):
            break
        whole(machine)
    machine.sync()
    settled(machine, author)
