"""What is activated after a sync: through the real verb where a collective is compiled, or a stand-in for systemd."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from feature_world import FILES
from sync_world import Author, Machine, daemon, founded, public
from typer.testing import CliRunner, Result

from hentou.agent import detached, follow
from hentou.agent.activate import Exit, Outcome
from hentou.agent.follow import Done
from hentou.agent.members import MEMBERS, members
from hentou.cli import converge
from hentou.effects.disk import Disk
from hentou.errors import HentouError
from hentou.model.load import read_roster
from hentou.trust.acceptance import Trust
from hentou.trust.roster import Roster

pytestmark = pytest.mark.integration


def coast(path: Path) -> Author:
    """The small collective of the features' tests, with a key of ours for its admin, and journal keys."""
    roster = f"admins:\n  yuna: ['{public('ann')}']\n  erwan: ['{public('bob')}']\n".encode()
    trust = Trust("ab" * 16, 0, "", "", Roster.of(read_roster(roster)))
    return Author(path, trust, roster)


def files(**changes: str) -> dict[str, bytes]:
    found = {name: text.encode() for name, text in FILES.items() if name != "roster.yaml"}
    flat = {name: data for name, data in found.items() if not name.startswith("content/")}
    for name in ("sites/moor.yaml", "sites/quay.yaml"):
        flat[name] = flat[name].partition(b"services:")[0]  # so that it needs no pages
    for name in ("heather", "east"):
        flat[f"keys/{name}.yaml"] += f"journal: {public(name)}\n".encode()
    return {**flat, **{name: text.encode() for name, text in changes.items()}}


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return coast(tmp_path / "yuna")


@pytest.fixture
def machine(tmp_path: Path, author: Author) -> Machine:
    found = Machine(tmp_path / "machine", "heather")
    found.pin(author.first)
    return found


@pytest.fixture
def verb(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`hentou converge` on this machine; its activations say that all is well and touch nothing."""
    app = typer.Typer()
    app.command()(converge.converge)
    monkeypatch.setattr(converge, "Host", lambda tell: replace(machine.host, tell=tell))

    def activate(host: object, generation: object, options: object) -> Outcome:
        machine.activated.append(options.commit)  # type: ignore[attr-defined]
        return Outcome(Exit.ACTIVE, "is active")

    monkeypatch.setattr(converge, "activate", activate)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_members_follow_the_accepted_head(author: Author, machine: Machine) -> None:
    author.push(machine, author.publish(files=files()))
    machine.sync(follow=False)
    known = members(machine.host.disk)
    assert known.head == machine.trust.head
    assert known.journals == {"east": public("east"), "heather": public("heather")}
    assert known.sites["heather"] == "moor"
    assert known.policies == {"canaries": [], "soak": 600, "patience": 86400}
    # One that cannot be read leaves the old one.
    author.push(machine, author.publish(files=files(**{"keys/east.yaml": "wireguard: [no\n"})))
    machine.sync(follow=False)
    assert machine.trust.sequence == 2
    assert members(machine.host.disk) == known


def test_converge_takes_the_inbox_in(author: Author, machine: Machine, verb: Callable[..., Result]) -> None:
    author.push(machine, author.publish(files=files()))
    done = verb("--json")
    assert done.exit_code == 0, done.output
    assert machine.trust.sequence == 1
    assert machine.activated == [machine.trust.head]
    # A dry run takes nothing in.
    author.push(machine, author.publish(files=files(note="2")))
    verb("--dry-run")
    assert machine.trust.sequence == 1


def test_converge_and_what_was_never_accepted(author: Author, machine: Machine, verb: Callable[..., Result]) -> None:
    assert isinstance(verb().exception, HentouError)
    first, second = author.publish(files=files()), author.publish(files=files(note="2"))
    author.push(machine, second)
    machine.sync(follow=False)
    assert verb("--rev", first.statement.head).exit_code == 0
    assert verb("--commit", first.statement.head).exit_code == 0
    stray = machine.trusted.repo.write_commit({"a": b"1"}, [second.statement.head])
    refused = verb("--rev", stray)
    assert "was never accepted" in str(refused.exception)
    assert machine.activated == [first.statement.head] * 2


def test_converge_while_detached(author: Author, machine: Machine, verb: Callable[..., Result]) -> None:
    author.push(machine, author.publish(files=files()))
    detached.detach(machine.host, by="yuna", why="a wedding on the site")
    refused = verb()
    assert isinstance(refused.exception, HentouError)
    assert "a wedding" in refused.exception.message
    report = machine.sync()
    assert (report.accepted, machine.activated) == (1, [])
    detached.attach(machine.host)
    assert verb().exit_code == 0


def test_converge_on_a_machine_that_is_not_pinned(machine: Machine, verb: Callable[..., Result]) -> None:
    machine.at("trust.json").unlink()
    refused = verb()
    assert isinstance(refused.exception, HentouError)
    assert "not pinned" in refused.exception.message


def test_a_head_that_does_not_compile(author: Author, machine: Machine, verb: Callable[..., Result]) -> None:
    """It is said so with a status of its own, remembered, and the next one is tried."""

    def run(commit: str) -> Done:
        done = verb("--json", "--commit", commit)
        record = json.loads(done.stdout)
        if not done.exit_code:
            state = machine.host.store.state()
            machine.host.store.save(replace(state, commit=commit))
        return Done(done.exit_code, "; ".join(record["reasons"]))

    author.push(machine, author.publish(files=files()))
    machine.sync(run=run)
    bad = author.publish(files=files(**{"sites/moor.yaml": "lan: nowhere\n"}))
    author.push(machine, bad)
    report = machine.sync(run=run)
    assert [done.status for _, done in report.activated] == [6]
    failed = machine.remembered["failed"]
    assert isinstance(failed, dict)
    assert "sites/moor.yaml" in failed[bad.statement.head]
    assert machine.sync(run=run).activated == []
    good = author.publish(files=files(note="better"))
    author.push(machine, good)
    assert machine.sync(run=run).activated == [(good.statement.head, Done(0, ""))]
    # A machine that the collective does not know is no better off.
    author.push(machine, author.publish(files=files(**{"sites/moor.yaml": "lan: {subnet: 192.168.1.0/24}\n"})))
    assert [done.status for _, done in machine.sync(run=run).activated] == [6]


def test_what_is_held_is_not_tried_every_minute(author: Author, machine: Machine) -> None:
    kept = author.publish(files=files())
    author.push(machine, kept)
    machine.failing[kept.statement.head] = Exit.HELD
    machine.sync()
    machine.sync()
    assert machine.activated == [kept.statement.head]
    assert machine.remembered["failed"] == {}
    machine.host.sleep = lambda _: None
    clock = machine.host.monotonic()
    machine.host.monotonic = lambda: clock + 700
    machine.failing.clear()
    assert [done.status for _, done in machine.sync().activated] == [0]


def test_other_sites_wait_for_the_canary(author: Author, machine: Machine) -> None:
    policies = FILES["collective.yaml"] + "policies: {canaries: [quay]}\n"
    author.push(machine, author.publish(files=files(**{"collective.yaml": policies})))
    report = machine.sync()
    assert machine.activated == []
    assert "canary" in report.waits
    at_quay = Machine(machine.root.parent / "anchor", "anchor")
    at_quay.pin(author.first)
    author.push(at_quay, author.chain[-1])
    at_quay.sync()
    assert at_quay.activated == [author.chain[-1].statement.head]


def test_journals_travel(tmp_path: Path, author: Author, machine: Machine) -> None:
    from sync_world import key

    from hentou.ledger import journals
    from hentou.trust.journal import Kind, Standing

    east = Machine(tmp_path / "east", "east")
    east.pin(author.first)
    author.push(east, author.publish(files=files()))
    east.sync()
    journals.append(
        east.trusted.repo, "east", key("east"), kind=Kind.ENROLLED, text="hello", at=east.host.moment(),
        standing=Standing(),
    )  # fmt: skip
    with daemon(east.at("")) as address:
        machine.peers(east=address)
        machine.sync()
    found = journals.newest_of(machine.trusted.repo, members(machine.host.disk).journals)
    assert found["east"].entry.text == "hello"


def test_the_file_of_members_is_readable_by_root_alone(author: Author, machine: Machine) -> None:
    author.push(machine, author.publish(files=files()))
    machine.sync(follow=False)
    found = Disk(machine.root).stat(MEMBERS)
    assert found is not None
    assert found.mode & 0o777 == 0o600


def test_founded_elsewhere(tmp_path: Path, machine: Machine) -> None:
    """Another collective under the same repository id, signed by its own people, is a stranger."""
    other, _ = founded(tmp_path / "mallory", "mallory")
    author_head = other.publish("mallory")
    other.push(machine, author_head, "mallory")
    assert list(machine.sync().refused) == ["inbox mallory"]


def test_modules_of_the_working_directory_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(77)\n")
    monkeypatch.chdir(tmp_path)
    assert follow.converge("0" * 40).status != 77
