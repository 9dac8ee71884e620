"""`hentou status` and `hentou log` on an admin's laptop, next to machines that answer, and to none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from journal_world import make_key, moment
from publish_world import Directories, Laptop, World
from typer.testing import CliRunner, Result

from hentou.admin import reach
from hentou.cli import log as log_module
from hentou.cli import status as status_module
from hentou.effects.process import Result as Done
from hentou.errors import HentouError
from hentou.ledger import journals
from hentou.trust.journal import Kind, Standing

pytestmark = pytest.mark.integration

Run = Callable[..., Result]
WIREGUARD = {
    "kerminy-1": "wireguard: cHVibGljIGtleXMgYXJlIG1hZGUgb2YgMzIgYnl0ZXM=\n",
    "konkarlab-1": "wireguard: YW5kIGFub3RoZXIgb25lIGlzIG1hZGUgb2YgdGhpczA=\n",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def laptop(world: World) -> Laptop:
    """Yuna's, with both machines enrolled; each has a journal, and knows that of the other."""
    laptop = world.yuna
    for name in world.boxes:
        public = make_key(world.place / "journal" / name)
        laptop.write(f"keys/{name}.yaml", f"{WIREGUARD[name]}journal: {public}\n")
    laptop.commit("README.md", "enrolled\n", "Enrol both machines")
    laptop.publish()
    head = laptop.copy.head
    for name, box in world.boxes.items():
        standing = Standing(sequence=1, head=head, active=head, active_sequence=1, generation="g" * 64, since=moment(0))
        key, refused = world.place / "journal" / name, "unsigned" if name == "konkarlab-1" else ""
        standing = replace(standing, refused=refused)
        for at in world.boxes.values():
            journals.append(at.repo, name, key, kind=Kind.REPORT, text="x", at=moment(1), standing=standing)
        assert box.repo.refs("refs/hentou/journals")
    return laptop


@pytest.fixture
def run(world: World, laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> Run:
    app = typer.Typer()
    for module in (status_module, log_module):
        app.command()(getattr(module, module.__name__.rpartition(".")[2]))

    class Near(Directories):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__(laptop.copy.store, world.boxes, laptop.reach.down)

        def __enter__(self) -> Near:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def any(self) -> reach.Connection:
            if self.down >= set(self.boxes):
                raise reach.UnreachableError("no machine answers")
            return super().any()

    monkeypatch.setattr(reach, "Reach", Near)
    monkeypatch.chdir(laptop.directory)
    return lambda *words: CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_next_to_any_machine_the_whole_collective_is_told(run: Run, laptop: Laptop) -> None:
    laptop.reach.down.add("konkarlab-1")
    said = json.loads(run("status", "--json").stdout)
    assert (said["sequence"], said["head"], said["from"], said["rotate"]) == (1, laptop.copy.head, "kerminy-1", [])
    assert [(row["machine"], row["active_sequence"], row["state"][:1]) for row in said["collective"]] == [
        ("kerminy-1", 1, ["its clock is ahead"]),
        ("konkarlab-1", 1, ["refused: unsigned"]),
    ]
    text = run("status").stdout
    assert text.startswith(f"pilot: step 1, commit {laptop.copy.head[:12]}\n")
    assert "konkarlab-1  konkarlab  1 " in text


def test_alone_it_tells_what_was_last_known(run: Run, laptop: Laptop) -> None:
    before = json.loads(run("status", "--json").stdout)["collective"]
    laptop.reach.down |= {"kerminy-1", "konkarlab-1"}
    for words in (("--offline",), ()):
        said = json.loads(run("status", "--json", *words).stdout)
        assert said["from"] == ""
        assert [row["heard"] for row in said["collective"]] == [row["heard"] for row in before]


def test_from_elsewhere_the_working_copy_is_named(
    run: Run, laptop: Laptop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run("status", "-C", str(laptop.directory), "--offline").stdout
    assert said.startswith("pilot: step 1")
    assert "nothing was heard of it yet" in said


def test_the_log_of_heads_says_who_signed(run: Run, laptop: Laptop) -> None:
    laptop.commit("README.md", "more\n", "Say \x1b[31mmore")
    laptop.publish()
    lines = run("log", "--offline").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]
    assert lines[0] == f"    2  {laptop.copy.head[:12]}  Say \ufffd[31mmore  (signed by yuna)"
    said = json.loads(run("log", "--json", "-n", "1").stdout)
    assert [(one["sequence"], one["signed_by"]) for one in said] == [(2, ["yuna"])]


def test_an_entry_is_written_on_the_machine_or_on_another(run: Run, world: World, laptop: Laptop) -> None:
    asked: list[tuple[str, ...]] = []
    for name, box in world.boxes.items():

        def note(argv: Sequence[str], stdin: bytes, timeout: float, name: str = name) -> Done:
            asked.append((name, *argv))
            return Done(tuple(argv), 0, f"{argv[-2]}: {argv[-1]}\n", "")

        box.run = note  # type: ignore[method-assign]
    assert run("log", "kerminy-1", "it's a\nnew disk").stdout == "kerminy-1: it's a new disk\n"
    laptop.reach.down.add("kerminy-1")
    run("log", "kerminy-1", "off")
    assert asked == [
        ("kerminy-1", "hentou", "log", "--", "kerminy-1", "it's a new disk"),
        ("konkarlab-1", "hentou", "log", "--", "kerminy-1", "off"),
    ]
    with pytest.raises(HentouError, match="nas"):
        run("log", "nas", "x")


def test_a_machine_that_cannot_note_it_says_why(run: Run, world: World) -> None:
    failed = Done(("hentou",), 1, "", "error: this machine has no journal yet\x1b[0m")
    world.boxes["kerminy-1"].run = lambda *_: failed  # type: ignore[method-assign,assignment]
    with pytest.raises(HentouError, match="kerminy-1 did not note it: error: this machine has no journal yet"):
        run("log", "kerminy-1", "x")
