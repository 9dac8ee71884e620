"""Syncs, activations and people at the same time: nobody waits for ever, nobody keeps others from accepting."""

from __future__ import annotations

from threading import Event, Thread

import pytest
from sync_world import Author, Machine

from hentou.agent.accepted import accepted_commit
from hentou.agent.follow import Done
from hentou.agent.sync import Report
from hentou.effects.disk import LockedError

pytestmark = pytest.mark.integration


def test_a_long_activation_keeps_nobody_from_accepting(author: Author, machine: Machine) -> None:
    """And whoever activates takes what came meanwhile next, so that nothing is left lying."""
    begun, go_on = Event(), Event()
    reports: list[Report] = []

    def slow(commit: str) -> Done:
        begun.set()
        assert go_on.wait(30)
        return machine.run(commit)

    first = author.publish()
    author.push(machine, first)
    one = Thread(target=lambda: reports.append(machine.sync(run=slow)))
    one.start()
    assert begun.wait(30)
    second = author.publish()
    author.push(machine, second)
    meanwhile = machine.sync()
    assert (meanwhile.accepted, meanwhile.activated) == (1, [])
    assert accepted_commit(machine.host) == second.statement.head
    go_on.set()
    one.join(30)
    assert [commit for commit, _ in reports[0].activated] == [first.statement.head, second.statement.head]


def test_a_person_takes_what_is_accepted_while_a_sync_fetches(
    author: Author, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hentou.agent import sync

    monkeypatch.setattr(sync, "PATIENCE", 0.3)
    author.push(machine, author.publish())
    machine.sync()
    author.push(machine, author.publish())
    now = machine.host.monotonic
    step = iter(range(1000))
    machine.host.monotonic = lambda: now() + next(step)
    with machine.trusted.lock():
        assert accepted_commit(machine.host) == author.chain[0].statement.head
        with pytest.raises(LockedError):
            machine.sync()
    assert accepted_commit(machine.host) == author.chain[1].statement.head
