"""The verbs `pin` and `sync`: what they print and how they exit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import typer
from sync_world import Author, Machine, founded
from typer.testing import CliRunner, Result

from hentou.agent.activate import Exit
from hentou.agent.trusted import NotPinnedError
from hentou.cli import pin, sync
from hentou.cli import sync as sync_verb
from hentou.errors import HentouError

pytestmark = pytest.mark.integration

Verb = Callable[..., Result]


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return founded(tmp_path / "ann")[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture
def verb(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Verb:
    app = typer.Typer()
    for module in (pin, sync):
        app.command()(getattr(module, module.__name__.rpartition(".")[2]))
        monkeypatch.setattr(module, "Host", lambda tell: replace(machine.host, tell=tell))
    monkeypatch.setattr(sync_verb, "Options", partial(sync_verb.Options, run=machine.run))
    return lambda *words, stdin=b"": CliRunner().invoke(app, list(words), input=stdin)


def test_pin(author: Author, machine: Machine, verb: Verb, tmp_path: Path) -> None:
    done = verb("pin", "--machine", "vps-1", stdin=author.first.json)
    assert done.exit_code == 0, done.output
    assert done.stdout == "pinned to repository abababab at step 0: it obeys ann\n"
    assert (machine.root / "etc/hentou/machine").read_text() == "vps-1\n"
    assert machine.at("trust.json").stat().st_mode & 0o777 == 0o600
    assert machine.at("inbox.git").stat().st_mode & 0o777 == 0o700
    # The first push finds its place without any sync before.
    author.store.git(
        "push", "--quiet", str(machine.at("inbox.git")), f"{author.publish().commit}:refs/hentou/proposals/ann"
    )
    assert verb("pin", stdin=author.first.json).exit_code == 0
    _, other = founded(tmp_path / "bob", "bob")
    refused = verb("pin", stdin=other.json)
    assert isinstance(refused.exception, HentouError)
    assert verb("pin", "--replace", stdin=other.json).exit_code == 0
    assert isinstance(verb("pin", stdin=b"no trust").exception, HentouError)


def test_sync_says_what_it_did(author: Author, machine: Machine, verb: Verb) -> None:
    assert isinstance(verb("sync").exception, NotPinnedError)
    verb("pin", stdin=author.first.json)
    first = author.publish()
    author.push(machine, first)
    said = json.loads(verb("sync", "--inbox-only", "--no-converge", "--json").stdout)
    assert (said["accepted"], said["sequence"], said["head"]) == (1, 1, first.statement.head)
    assert (said["refused"], said["waiting"], said["errors"], said["activated"]) == ({}, {}, {}, [])
    done = verb("sync")
    assert done.exit_code == 0
    assert f"{first.statement.head[:12]} is active" in done.stdout
    assert verb("sync").stdout == f"nothing new accepted; at step 1 ({first.statement.head[:12]})\n"


def test_sync_exits_by_what_happened(author: Author, machine: Machine, verb: Verb) -> None:
    verb("pin", stdin=author.first.json)
    author.push(machine, author.sign(author.statement(author.head()), "mallory"), "mallory")
    refused = verb("sync")
    assert refused.exit_code == 7
    assert "refused from inbox mallory: stranger: " in refused.stdout
    for status, wanted in ((Exit.UNDONE, 3), (Exit.QUARANTINED, 3), (6, 3), (Exit.HELD, 3), (Exit.ERROR, 1)):
        kept = author.publish()
        author.push(machine, kept)
        machine.failing[kept.statement.head] = int(status)
        assert verb("sync").exit_code == wanted


def test_many_steps_in_one_go(author: Author, machine: Machine, verb: Verb) -> None:
    verb("pin", stdin=author.first.json)
    for _ in range(40):
        author.publish()
    author.push(machine, author.chain[-1])
    assert json.loads(verb("sync", "--json").stdout)["accepted"] == 40
    steps = machine.remembered["accepted"]
    assert isinstance(steps, list)
    assert [step["sequence"] for step in steps] == list(range(1, 41))
