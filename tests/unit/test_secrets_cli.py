"""`hentou secret` as a person meets it: nothing on the command line, nothing left behind, red until rotated."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from secret_world import World, world
from typer.testing import CliRunner, Result

from hentou.admin import authority, secrets
from hentou.cli import secret
from hentou.cli.check import check
from hentou.effects.plaintext import in_memory
from hentou.effects.process import run
from hentou.errors import HentouError

pytestmark = pytest.mark.integration


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    found = world(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("EDITOR", "")
    for name, value in {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    run(["git", "init", "--quiet", "--initial-branch=main", found.top])
    run(["git", "-C", found.top, "config", "user.signingkey", str(found.private["yuna"]) + ".pub"])
    commit(found)
    return found


def commit(here: World) -> None:
    run(["git", "-C", here.top, "add", "--all"])
    run(["git", "-C", here.top, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "x"])


def hentou(here: World, *words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(secret.app, [*words, "-C", str(here.top)], input=given, env={"COLUMNS": "200"})


def leave(here: World) -> None:
    """Erwan leaves the roster."""
    here.admit(yuna=here.private["yuna"].with_suffix(".key.pub").read_text().strip())
    commit(here)


def log(here: World) -> Sequence[str]:
    return run(["git", "-C", here.top, "log", "--format=%s"]).stdout.splitlines()


def test_a_value_goes_in_and_comes_out_to_the_byte(here: World) -> None:
    done = hentou(here, "set", "smtp", "-", "--machine", "anchor", given="sésame\n")
    assert (done.exit_code, log(here)[0]) == (0, "Secret smtp: new value")
    assert "hentou publish" in done.stdout
    assert run(["git", "-C", here.top, "status", "--porcelain"]).stdout == ""
    assert hentou(here, "show", "smtp").stdout == "sésame\n"
    assert "sésame" not in run(["git", "-C", here.top, "log", "-p", "--text"]).stdout + done.stdout


def test_terms_change_and_the_value_stays(here: World) -> None:
    hentou(here, "set", "smtp", "-", "--machine", "anchor", given="v")
    assert hentou(here, "set", "smtp", "--machine", "buoy", "--machine", "anchor", "--mode", "0440").exit_code == 0
    assert log(here)[0] == "Secret smtp: other terms"
    assert secrets.read(here.top, "smtp", [here.private["buoy"]]) == b"v"
    assert hentou(here, "set", "smtp", "--no-admin").exit_code == 0
    assert hentou(here, "show", "smtp").exception
    assert hentou(here, "set", "smtp", "--all-admins", "--no-admin").exception


def test_generated_values_and_rotation(here: World) -> None:
    hentou(here, "set", "wifi", "--generate", "password 24", "--machine", "anchor")
    one = hentou(here, "show", "wifi").stdout
    assert len(one) == 24
    hentou(here, "set", "deploy", "--generate", "ssh-ed25519")
    hentou(here, "set", "hand", "-", given="typed")
    leave(here)
    told = CliRunner().invoke(_check(), [str(here.top)])
    assert told.exit_code == 0
    assert "secret wifi: admin erwan left the roster\n" in told.stdout
    assert "  → `hentou secret rotate --all-stale`\n" in told.stdout
    assert "problem found" in told.stdout
    done = hentou(here, "rotate", "--all-stale")
    assert done.exit_code == 1
    assert "deploy: new public half: ssh-ed25519 AAAA" in done.stdout
    assert "hand has no generator\n  → give it a new value: `hentou secret set hand`\n" in done.stdout
    assert log(here)[0] == "Secrets rotated: deploy, wifi"
    assert hentou(here, "show", "wifi").stdout != one
    hentou(here, "set", "hand", "-", given="typed again")
    assert hentou(here, "rotate", "--all-stale").stdout == "nothing to change\n"


def _check() -> object:
    import typer

    made = typer.Typer()
    made.command()(check)
    return made


def test_who_tells_who_can_and_who_could(here: World) -> None:
    hentou(here, "set", "wifi", "-", "--machine", "anchor", given="v")
    hentou(here, "set", "root", "-", "--admin", "yuna", given="v")
    leave(here)
    said = hentou(here, "who", "erwan").stdout
    assert "left the" in said
    assert "root" not in said
    (record,) = json.loads(hentou(here, "who", "anchor", "--json").stdout)
    assert record["readers"] == ["admin yuna", "machine anchor"]
    assert record["ever"] == ["admin erwan", "admin yuna", "machine anchor"]
    assert record["stale"] == [{"who": "admin erwan", "why": "left the roster"}]
    assert hentou(here, "who", "buoy").stdout == "buoy can read no secret, and never could\n"
    missing = hentou(here, "who", "yunna").exception
    assert isinstance(missing, HentouError)
    assert missing.hint == "did you mean yuna?"


def test_rekey_waits_for_nothing_else(here: World) -> None:
    hentou(here, "set", "wifi", "-", "--machine", "anchor", given="v")
    assert hentou(here, "rekey").stdout == "nothing to change\n"
    here.enrol("anchor")
    commit(here)
    done = hentou(here, "rekey")
    assert (done.exit_code, log(here)[0]) == (0, "Secrets encrypted again for those who may read them")
    assert secrets.read(here.top, "wifi", [here.private["anchor"]]) == b"v"


def test_edit_leaves_nothing_behind(here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hentou(here, "set", "smtp", "-", given="old")
    seen = tmp_path / "seen"
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\necho "$1" > {seen}\nstat -c %a "$1" >> {seen}\ncp "$1" "$1~"\nprintf new > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    assert hentou(here, "edit", "smtp").exit_code == 0
    path, mode = seen.read_text().splitlines()
    assert (mode, Path(path).parent.exists()) == ("600", False)
    assert hentou(here, "show", "smtp").stdout == "new"
    monkeypatch.setenv("EDITOR", "false")
    assert hentou(here, "edit", "smtp").exception
    assert hentou(here, "show", "smtp").stdout == "new"
    monkeypatch.setenv("EDITOR", "true")
    assert hentou(here, "edit", "smtp").stdout == "nothing to change\n"


def test_plaintext_in_memory_is_gone_also_after_an_error() -> None:
    seen: list[Path] = []
    with pytest.raises(ZeroDivisionError), in_memory(b"sesame") as file:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        seen.append(file)
        raise ZeroDivisionError
    assert not seen[0].parent.exists()


def test_ones_own_key(here: World) -> None:
    first = hentou_key()
    assert first.startswith("age1")
    assert hentou_key() == first
    file = Path.home() / ".config/hentou/age.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    here.write("people/yuna.yaml", f"age: [{first}]\n")
    hentou(here, "set", "door", "-", "--no-commit", given="v")
    assert hentou(here, "show", "door").stdout == "v"


def hentou_key() -> str:
    return CliRunner().invoke(secret.app, ["key"]).stdout.strip()


def test_nothing_is_written_where_nothing_could_be_committed(here: World) -> None:
    run(["rm", "-r", here.top / ".git"])
    assert isinstance(hentou(here, "set", "door", "-", given="v").exception, HentouError)
    assert not (here.top / "secrets").exists()
    done = hentou(here, "set", "door", "-", "--no-commit", given="v")
    assert done.stdout.startswith("written: secrets/door.age, secrets/door.yaml\n")


def test_an_empty_value_is_a_mistake(here: World) -> None:
    fault = hentou(here, "set", "door", given="").exception
    assert isinstance(fault, HentouError)
    assert fault.message == "the value of door would be empty"


def test_removal(here: World) -> None:
    hentou(here, "set", "door", "-", given="v")
    assert hentou(here, "remove", "door").exit_code == 0
    assert (log(here)[0], list((here.top / "secrets").iterdir())) == ("Secret door: removed", [])


def test_the_authority_takes_no_other_value(here: World) -> None:
    made = authority.authority(here.top, [here.private["yuna"]])
    commit(here)
    for words in (("set", "authority", "-"), ("edit", "authority"), ("set", "authority", "--generate", "hex 32")):
        refused = hentou(here, *words, given="v").exception
        assert isinstance(refused, HentouError)
        assert "belongs to keys/authority.pem" in refused.message
    rotated = hentou(here, "rotate", "authority")
    assert (rotated.exit_code, "belongs to keys/authority.pem" in rotated.stdout) == (1, True)
    assert hentou(here, "set", "authority", "-", given=made.key.decode()).exit_code == 0
    assert hentou(here, "set", "authority", "--all-admins").exit_code == 0
    leave(here)
    said = "authority: only a new one, of which every browser is told: docs/how-to/keep-a-secret.md\n"
    assert CliRunner().invoke(_check(), [str(here.top)]).stdout.endswith(f"  → {said}")
    left = hentou(here, "rotate", "--all-stale")
    assert (left.exit_code, said in left.stdout) == (0, True)
    secrets.put(here.top, "authority", b"junk")
    with pytest.raises(HentouError, match="no private key in the PEM format"):
        authority.authority(here.top, [here.private["yuna"]])


def test_a_machine_that_waits_for_its_enrolment_is_told_what_it_will_read(here: World) -> None:
    (here.top / "keys/buoy.yaml").unlink()
    commit(here)
    hentou(here, "set", "wifi", "-", "--machine", "buoy", given="v")
    assert hentou(here, "who", "buoy").stdout == (
        "buoy can read wifi once it is enrolled and `hentou secret rekey` was run\n"
    )
