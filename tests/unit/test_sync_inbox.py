"""What admins push to a machine: accepted, waiting, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from sync_world import Author, Machine, founded

from hentou.agent.trusted import NotPinnedError
from hentou.errors import HentouError

pytestmark = pytest.mark.integration


def test_a_push_is_accepted_and_activated(author: Author, machine: Machine) -> None:
    kept = author.publish()
    author.push(machine, kept)
    report = machine.sync()
    assert (report.accepted, report.sequence, report.head) == (1, 1, kept.statement.head)
    assert machine.trust.head == kept.statement.head
    assert machine.trusted.repo.get("refs/heads/main") == kept.statement.head
    assert machine.trusted.repo.get("refs/hentou/statements") == kept.commit
    assert machine.activated == [kept.statement.head]
    assert machine.trusted.repo.get("refs/hentou/fetched/head") == ""
    assert machine.remembered["refused"] == {}
    assert [step["sequence"] for step in machine.remembered["accepted"]] == [1]  # type: ignore[attr-defined]
    # Nothing is left in the inbox, and nothing to do.
    assert machine.sync().accepted == 0
    assert machine.activated == [kept.statement.head]


def test_an_unpinned_machine_follows_nobody(tmp_path: Path) -> None:
    with pytest.raises(NotPinnedError):
        Machine(tmp_path / "other").sync()


def test_a_pin_is_not_replaced_by_accident(author: Author, machine: Machine, tmp_path: Path) -> None:
    _, trust = founded(tmp_path / "bob", "bob")
    machine.pin(author.first)
    with pytest.raises(HentouError, match="pinned already"):
        machine.pin(trust)
    assert machine.trust == author.first
    machine.trusted.pin(trust.json, replace=True)
    assert machine.trust == trust
    with pytest.raises(HentouError, match="no trust to pin"):
        machine.trusted.pin(b"{}")
