"""`hentou status` and `hentou log` on a machine: itself, and the whole collective as its journals tell it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from journal_world import World, moment
from typer.testing import CliRunner, Result

from hentou.agent import alarms, detached
from hentou.agent.journals import KEY, exchange, notice
from hentou.agent.state import Failure, State
from hentou.agent.synced import Memory
from hentou.cli import log as log_module
from hentou.cli import status as status_module
from hentou.errors import HentouError
from hentou.ledger import journals
from hentou.ledger.journals import Journal
from hentou.trust.journal import Kind, Standing, key_id
from hentou.trust.overview import Known, ago, rows

pytestmark = pytest.mark.integration

ONE, TWO = "1" * 40, "2" * 40
Run = Callable[..., Result]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for name, host in world.hosts.items():
        exchange(host, world.fetched(name, "vps-1" if name != "vps-1" else "bzh-1"), "vps-1")
        host.store.prepare()
        host.store.save(State(current="a" * 64, since=moment(0), commit=ONE))
        stage(world, name)
        notice(host)
    for peer in ("kerminy-1", "bzh-1"):
        exchange(world.hosts["vps-1"], world.fetched("vps-1", peer), peer)
    return world


def stage(world: World, name: str) -> None:
    from agent_world import file, generation

    made = generation(file("/etc/motd", "one\n"))
    host = world.hosts[name]
    host.disk.write("/etc/motd", b"one\n")
    host.store.stage(made.id, made.manifest.json, made.contents, {"commit": ONE}, None)
    host.store.save(State(current=made.id, since=moment(0), commit=ONE))


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    app = typer.Typer()
    for module in (status_module, log_module):
        app.command()(getattr(module, module.__name__.rpartition(".")[2]))
        monkeypatch.setattr(module, "Host", lambda: world.hosts["vps-1"])
    monkeypatch.setenv("SUDO_USER", "yuna")
    return lambda *words: CliRunner().invoke(app, list(words), catch_exceptions=False)


def tell(world: World, standing: Standing, minutes: int = 100, machine: str = "kerminy-1") -> None:
    """What another machine says, already arrived at vps-1."""
    root = world.folder / machine
    store = world.store(machine)
    journals.append(
        store, machine, root / KEY.lstrip("/"), kind=Kind.REPORT, text="x", at=moment(minutes), standing=standing
    )
    exchange(world.hosts["vps-1"], world.fetched("vps-1", machine), machine)


def test_every_machine_is_told_with_its_age(run: Run, world: World) -> None:
    world.now += timedelta(minutes=3)
    said = run("status").stdout.splitlines()
    table = said[said.index("") + 1 :]
    assert [line.split()[:2] for line in table] == [
        ["machine", "site"], ["bzh-1", "bzh"], ["kerminy-1", "kerminy"], ["vps-1", "nuage"],
    ]  # fmt: skip
    assert (
        table[1].split("  ")[2:] == ["  - 11111111", "2027-03-01 08:00", "3 min ago", "well"] or "3 min ago" in table[1]
    )
    assert table[3].endswith("just now   well")


def test_json_has_rows_and_keeps_its_keys(run: Run, world: World) -> None:
    said = json.loads(run("status", "--json").stdout)
    assert said["well"] is True
    assert {"machine", "current", "previous", "since", "commit", "pending", "last_failure", "quarantined", "adopted",
            "held", "units_down", "sequence", "head", "detached", "refused", "alarms"} <= said.keys()  # fmt: skip
    row = said["collective"][0]
    assert (row["machine"], row["active"], row["well"], row["age"]) == ("bzh-1", ONE, True, 0)


def test_another_machines_trouble_is_told_and_is_not_ours(run: Run, world: World) -> None:
    trouble = Standing(
        generation="g", active=ONE, failed={TWO: "page: no"}, undone=TWO, held=("/etc/motd",), refused="unsigned",
        detached={"by": "yuna", "why": "works", "until": "2027-04-01"}, alarms=("smoke\x1b[2J",), down=("a.service",),
    )  # fmt: skip
    tell(world, trouble)
    said = json.loads(run("status", "--json").stdout)
    assert said["well"] is True
    assert said["collective"][1]["state"] == [
        "detached by yuna: works, until 2027-04-01", "undone: 222222222222: page: no",
        "held by hand edits of /etc/motd", "refused: unsigned", "down: a.service", "alarm: smoke\ufffd[2J",
    ]  # fmt: skip
    assert "\x1b" not in run("status").stdout


def test_what_concerns_this_machine_is_told_first(run: Run, world: World) -> None:
    host = world.hosts["vps-1"]
    detached.detach(host, by="yuna", why="works", until=world.now + timedelta(days=1))
    Memory(host.disk).refuse("unsigned", "nobody signed it", "peer bzh-1", host.moment())
    alarms.seen(host, ["bzh-1 serves nonsense"])
    state = host.store.state()
    failure = Failure("b" * 64, host.moment(), ("page: no",), TWO)
    host.store.save(State(**{**state.__dict__, "last_failure": failure, "quarantined": {"b" * 64: "page"}}))
    said = run("status").stdout
    assert "detached by yuna: works, until 2027-03-02" in said
    assert "refused: nobody signed it (from peer bzh-1, 2027-03-01T12:00:00+00:00)" in said
    assert "alarm: bzh-1 serves nonsense" in said
    row = json.loads(run("status", "--json").stdout)["collective"][2]
    assert row["state"][1] == "undone: 222222222222: page: no"


def test_silence_and_frozen_journals_are_told(run: Run, world: World) -> None:
    journal = Journal("bzh-1", key_id(world.keys["bzh-1"]))
    store = world.store("vps-1")
    store.update({f"{journal.forks}/{which}": store.get(journal.ref) for which in ("ours", "theirs")})
    world.now += timedelta(days=3)
    table = json.loads(run("status", "--json").stdout)["collective"]
    assert table[0]["state"] == [
        "its journal is frozen: it signed two entries of one number",
        "isolated or off: last heard of 3 days ago",
    ]
    assert table[1]["state"] == ["isolated or off: last heard of 3 days ago"]
    assert table[2]["state"] == ["alarm: the journal of bzh-1 is frozen: it signed two entries of one number"]


def test_what_is_behind_or_waits_is_told() -> None:
    said = {
        "behind": Standing(sequence=3, head=ONE, active=ONE, generation="g"),
        "empty": Standing(sequence=4, head=TWO),
        "waits": Standing(sequence=4, head=TWO, active=ONE, active_sequence=3, generation="g"),
        "well": Standing(sequence=4, head=TWO, active=TWO, active_sequence=4, generation="g"),
    }
    known = Known({}, {name: (standing, moment(0)) for name, standing in said.items()}, newest=4)
    from datetime import datetime

    found = {row.machine: row.state for row in rows(known, [*said, "mute"], datetime.fromisoformat(moment(1)))}
    assert found == {
        "behind": ("behind: it knows step 3 of 4",),
        "empty": ("no generation yet",),
        "mute": ("nothing was heard of it yet",),
        "waits": ("step 4 waits: for a canary site, or to be activated just now",),
        "well": ("well",),
    }


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=-900), "just now"), (timedelta(seconds=59), "just now"), (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=2), "2 h ago"), (timedelta(days=2), "2 days ago"), (None, "never"),
    ],
)  # fmt: skip
def test_ages_in_words(age: timedelta | None, words: str) -> None:
    assert ago(age) == words


def test_a_changelog_entry_with_time_person_and_machine(run: Run, world: World) -> None:
    assert run("log", "kerminy-1", "replaced\nthe disk\x1b[31m").stdout == "kerminy-1: replaced the disk\ufffd[31m\n"
    said = json.loads(run("log", "kerminy-1", "--json").stdout)[0]
    assert said["at"] == world.hosts["vps-1"].moment()
    assert (said["machine"], said["about"], said["person"], said["text"]) == (
        "vps-1", "kerminy-1", "yuna", "replaced the disk\ufffd[31m",
    )  # fmt: skip
    lines = run("log", "kerminy-1").stdout.splitlines()
    assert lines[0] == "2027-03-01 12:00  changelog   yuna: replaced the disk\ufffd[31m [told by vps-1]"
    assert lines[1].split()[2] in ("enrolled", "activated")
    assert "(about kerminy-1)" in run("log", "vps-1").stdout


def test_an_entry_that_must_wait_says_so(run: Run, world: World) -> None:
    world.boot("vps-1", "second")
    assert run("log", "vps-1", "moved").stdout == "vps-1: moved (to be written once a peer is heard of)\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nas", "x"), "no machine is called nas"),
        (("vps-1", "  "), "nothing is said"),
        (("vps-1", "x" * 1001), "a text of more than 1000 characters"),
        (("nas",), "nothing is known of nas"),
        (("../x",), "nothing is known of ../x"),
        ((), "nothing was published yet"),
    ],
)
def test_what_cannot_be_logged_or_told(run: Run, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(HentouError, match=message):
        run("log", *words)


def test_a_damaged_repository_hides_nothing_of_this_machine(run: Run, world: World) -> None:
    (world.store("vps-1").path / "HEAD").write_text("damaged\n")
    done = run("status", "--json")
    assert "the journals cannot be read" in done.stderr
    assert json.loads(done.stdout)["current"]
