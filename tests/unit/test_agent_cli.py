"""The verbs of a machine: what they print and how they exit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from agent_world import FakeSystem, file, generation, host_at
from typer.testing import CliRunner, Result

from hentou.agent.host import Host
from hentou.cli import adopt, converge, generations, overwrite, recover, rollback, status
from hentou.errors import HentouError
from hentou.generation.fragment import Check, CheckKind, Unit
from hentou.generation.generation import Generation

FIRST = generation(file("/etc/motd", "one\n"), units=(Unit("a.service", triggers=("/etc/motd",)),))
SECOND = generation(file("/etc/motd", "two\n"), units=FIRST.manifest.units)
BAD = generation(file("/etc/motd", "bad\n"), checks=(Check("page", CheckKind.COMMAND, "no"),))

Run = Callable[..., Result]


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem(failing_commands={"no"})


@pytest.fixture
def run(tmp_path: Path, system: FakeSystem, monkeypatch: pytest.MonkeyPatch) -> Run:
    app = typer.Typer()
    for module in (adopt, converge, generations, overwrite, recover, rollback, status):
        app.command()(getattr(module, module.__name__.rpartition(".")[2]))

        def make(tell: Callable[[str], None] | None = None) -> Host:
            host = host_at(tmp_path, system)
            host.tell = tell or host.tell
            return host

        monkeypatch.setattr(module, "Host", make)

    def invoke(*words: str, wanted: Generation = FIRST) -> Result:
        monkeypatch.setattr(converge, "_wanted", lambda *_, **__: (wanted, "c0ffee" * 6))
        return CliRunner().invoke(app, list(words))

    return invoke


def test_exit_statuses_and_words(run: Run, tmp_path: Path) -> None:
    assert run("status").stdout == "this machine: no generation yet; run `hentou converge`\n"
    first = run("converge")
    assert (first.exit_code, first.stdout) == (0, f"{FIRST.id[:12]} is active\n")
    assert run("converge").stdout == f"{FIRST.id[:12]} is active; nothing to do\n"
    bad = run("converge", wanted=BAD)
    assert (bad.exit_code, bad.stdout) == (
        3,
        f"{BAD.id[:12]} was undone: {FIRST.id[:12]} is back\n  page: no: said no\n",
    )
    again = run("converge", wanted=BAD)
    assert again.exit_code == 5
    assert "is not tried again" in again.stdout
    assert "hentou converge --retry" in again.stdout
    (tmp_path / "etc/motd").write_text("mine\n")
    held = run("converge", wanted=SECOND)
    assert held.exit_code == 4
    assert "-one\n+mine\n" in held.stdout
    assert "hentou overwrite /etc/motd" in held.stdout


def test_a_dry_run_counts_cut_points_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    run("status")
    before = sorted(tmp_path.rglob("*"))
    said = json.loads(run("converge", "--dry-run", "--json").stdout)
    assert said["id"] == FIRST.id
    assert [step["kind"] for step in said["steps"]] == ["write", "start"]
    assert said["cut_points"] == 8
    assert sorted(tmp_path.rglob("*")) == before
    assert "1 write /etc/motd  (new; base)" in run("converge", "--dry-run").stdout


def test_status_tells_reason_and_edits(run: Run, tmp_path: Path, system: FakeSystem) -> None:
    run("converge")
    run("converge", wanted=BAD)
    (tmp_path / "etc/motd").write_text("mine\n")
    system.active["a.service"] = "failed"
    said = json.loads(run("status", "--json").stdout)
    assert said["current"] == FIRST.id
    assert said["commit"] == "c0ffee" * 6
    assert said["last_failure"]["reasons"] == ["page: no: said no"]
    assert list(said["quarantined"]) == [BAD.id]
    assert said["held"] == [{"path": "/etc/motd", "reason": "edited by hand"}]
    assert said["units_down"] == {"a.service": "failed"}
    assert said["well"] is False
    assert "page: no: said no" in run("status").stdout


def test_adopt_and_overwrite(run: Run, tmp_path: Path) -> None:
    run("converge")
    (tmp_path / "etc/motd").write_text("mine\n")
    output = tmp_path / "edits.patch"
    assert run("adopt", "-o", str(output)).exit_code == 0
    assert "+++ b/overrides/kerminy-1/etc/motd\n@@ -0,0 +1 @@\n+mine\n" in output.read_text()
    assert run("converge").exit_code == 0
    assert (tmp_path / "etc/motd").read_text() == "mine\n"
    assert run("overwrite", "--all").stdout == "nothing was edited by hand\n"
    assert run("overwrite", "/etc/motd").exit_code == 0
    assert (tmp_path / "etc/motd").read_text() == "one\n"
    neither = run("overwrite")
    assert isinstance(neither.exception, HentouError)


def test_rollback_quarantines_what_it_left(run: Run, tmp_path: Path) -> None:
    run("converge")
    nothing = run("rollback")
    assert isinstance(nothing.exception, HentouError)
    run("converge", wanted=SECOND)
    assert run("rollback").exit_code == 0
    assert (tmp_path / "etc/motd").read_text() == "one\n"
    assert run("converge", wanted=SECOND).exit_code == 5
    assert run("converge", "--retry", wanted=SECOND).exit_code == 0
    assert run("rollback", FIRST.id[:6]).exit_code == 0
    listed = run("generations").stdout
    assert f"{FIRST.id[:12]}" in listed
    assert [item["standing"] for item in json.loads(run("generations", "--json").stdout)].count("current") == 1
    unknown = run("rollback", "ffffffffffff")
    assert str(unknown.exception) == "no generation starts with 'ffffffffffff'"


def test_recover(run: Run, tmp_path: Path, system: FakeSystem) -> None:
    host_at(tmp_path, system).store.prepare()
    assert run("recover").stdout == "nothing was interrupted\n"
    with host_at(tmp_path, system).store.lock():
        assert run("recover", "--if-dead").exit_code == 0
        assert isinstance(run("recover").exception, HentouError)


@pytest.mark.parametrize("words", [("recover",), ("adopt", "/etc/motd"), ("overwrite", "--all"), ("rollback",)])
def test_a_computer_that_is_no_machine_keeps_nothing(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    run(*words)
    assert not (tmp_path / "var/lib/hentou").exists()
    refused = run("adopt", "/etc/motd").exception
    assert isinstance(refused, HentouError)
    assert "does not know its name" in refused.message
