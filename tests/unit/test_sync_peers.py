"""What machines fetch from each other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sync_world import Author, Machine, daemon, founded, free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return founded(tmp_path / "ann")[0]


def machine(path: Path, author: Author, name: str) -> Machine:
    found = Machine(path / name, name)
    found.pin(author.first)
    return found


def test_a_peer_follows_another(tmp_path: Path, author: Author) -> None:
    first, second = machine(tmp_path, author, "kerminy-1"), machine(tmp_path, author, "vps-1")
    for _ in range(3):
        author.publish()
    author.push(first, author.chain[-1])
    assert first.sync().accepted == 3
    with daemon(first.at("")) as address:
        second.peers(first=address, away=f"127.0.0.1:{free_port()}")
        report = second.sync()
        assert (report.accepted, report.sequence) == (3, 3)
        assert second.trust == first.trust
        assert second.activated == [author.chain[-1].statement.head]
        assert report.refused == {}
        assert report.peers["away"]
        # Merely behind is no fault.
        author.push(second, author.publish())
        assert second.sync().sequence == 4
        assert second.remembered["refused"] == {}


def test_a_machine_pinned_late_gets_its_head_from_a_peer(tmp_path: Path, author: Author) -> None:
    first = machine(tmp_path, author, "kerminy-1")
    for _ in range(3):
        author.publish()
    author.push(first, author.chain[-1])
    first.sync()
    late = Machine(tmp_path / "late", "late")
    late.pin(first.trust)
    author.push(first, author.publish())
    with daemon(first.at("")) as address:
        late.peers(first=address)
        assert late.sync().sequence == 3
        assert late.trusted.complete()
        assert late.activated == [author.chain[-2].statement.head]
        first.sync()
        assert late.sync().accepted == 1
    assert late.trust == first.trust


def test_a_late_machine_whose_peer_is_ahead(tmp_path: Path, author: Author) -> None:
    first = machine(tmp_path, author, "kerminy-1")
    for _ in range(2):
        author.publish()
    author.push(first, author.chain[-1])
    first.sync()
    late = Machine(tmp_path / "late", "late")
    late.pin(first.trust)
    author.push(first, author.publish())
    first.sync()
    with daemon(first.at("")) as address:
        late.peers(first=address)
        assert late.sync().accepted == 1
    assert late.trusted.repo.refs("refs") == first.trusted.repo.refs("refs")


def test_a_lost_repository_is_fetched_again(tmp_path: Path, author: Author) -> None:
    first, second = machine(tmp_path, author, "kerminy-1"), machine(tmp_path, author, "vps-1")
    author.push(first, author.publish())
    first.sync()
    with daemon(first.at("")) as address:
        second.peers(first=address)
        second.sync()
        shutil.rmtree(second.at("repo.git"))
        second.sync()
    assert second.trusted.complete()
    assert second.trusted.repo.refs("refs") == first.trusted.repo.refs("refs")
