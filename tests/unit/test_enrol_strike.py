"""A machine is struck out: what goes with it, what stays, and what is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from admin_world import machine_at, ssh_key, told, working_copy
from typer.testing import CliRunner

from hentou import compose
from hentou.admin import secrets
from hentou.admin.blocks import without
from hentou.admin.commits import commit
from hentou.admin.enrol import enrol
from hentou.admin.strike import strike
from hentou.cli import strike as cli
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError

pytestmark = pytest.mark.integration


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two enrolled machines that share a secret."""
    found = working_copy(tmp_path)
    for name in ("kerminy-1", "vps-1"):
        enrol(found, name, machine_at(tmp_path / name, name), identities=[tmp_path / "yuna"])
    commit(found, "A secret", secrets.put(found, "wifi", b"kouign", machines=("kerminy-1", "vps-1")))
    commit(found, "Another", secrets.put(found, "alone", b"farz", machines=("vps-1",)))
    return found


def test_keys_go_and_secrets_are_encrypted_again(repository: Path, tmp_path: Path) -> None:
    old = tmp_path / "kerminy-1/var/lib/hentou/keys/age.key"
    assert secrets.read(repository, "wifi", [old]) == b"kouign"
    done = strike(repository, "kerminy-1", "stolen", identities=[tmp_path / "yuna"])
    assert done.known == ("wifi",)
    assert not done.refused
    assert told(repository, "log", "-1", "--format=%s") == "Strike out kerminy-1: stolen"
    assert told(repository, "status", "--porcelain") == ""
    collective = compose.load(DirectoryTree(repository))
    assert "kerminy-1" not in collective.keys
    assert "kerminy-1" in collective.machines
    assert secrets.read(repository, "wifi", [tmp_path / "yuna"]) == b"kouign"
    with pytest.raises(HentouError, match="cannot read wifi"):
        secrets.read(repository, "wifi", [old])
    enrol(repository, "kerminy-1", machine_at(tmp_path / "new", "kerminy-1"), identities=[tmp_path / "yuna"])
    assert secrets.read(repository, "wifi", [tmp_path / "new/var/lib/hentou/keys/age.key"]) == b"kouign"


def test_who_cannot_read_a_secret_strikes_all_the_same(repository: Path, tmp_path: Path) -> None:
    done = strike(repository, "kerminy-1", "stolen", identities=[ssh_key(tmp_path, "stranger")])
    assert list(done.refused) == ["wifi"]
    assert done.known == ("wifi",)
    assert not (repository / "keys/kerminy-1.yaml").exists()


def test_remove_takes_the_description_where_nothing_needs_it(repository: Path, tmp_path: Path) -> None:
    site = repository / "sites/kerminy.yaml"
    strike(repository, "kerminy-1", "retired", remove=True, identities=[tmp_path / "yuna"])
    assert "kerminy-1" not in site.read_text()
    assert "kerminy-2" in compose.load(DirectoryTree(repository)).machines
    assert compose.load(DirectoryTree(repository)).secrets["wifi"].machines == ("vps-1",)
    with pytest.raises(HentouError, match="no machine is called 'kerminy-1'"):
        strike(repository, "kerminy-1", "again")
    with pytest.raises(HentouError, match="kerminy-2 is not enrolled: it has no keys in the collective"):
        strike(repository, "kerminy-2", "lost")


def test_a_machine_that_something_needs_is_not_removed(repository: Path, tmp_path: Path) -> None:
    site = repository / "sites/kerminy.yaml"
    site.write_text(site.read_text() + "services:\n  site:\n    recipe: website\n    machine: kerminy-1\n")
    commit(repository, "A service", ["sites/kerminy.yaml"])
    with pytest.raises(HentouError) as refused:
        strike(repository, "kerminy-1", "retired", remove=True, identities=[tmp_path / "yuna"])
    assert "kerminy-1" in refused.value.message
    assert told(repository, "status", "--porcelain") == ""


def test_the_verb_lists_what_was_known(repository: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(cli.strike)
    words = ["vps-1", "--why", "seized", "-C", str(repository), "-i", str(tmp_path / "yuna")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[1:] == [
        "it could read the secret alone",
        "it could read the secret wifi",
        "  → next: `hentou publish`",
        "  → then: `hentou secret rotate alone wifi`, and publish again",
    ]


SITE = b"""# Two boxes.
title: Kerminy

machines:
  # The old one.
  kerminy-1:
    title: Serveur
    # in the cellar
    roles: [web]

  # The new one.
  kerminy-2:
    title: Neuf

services: {}
"""


def test_an_entry_goes_with_its_comments_only() -> None:
    left = without("sites/k.yaml", SITE, "machines", "kerminy-1")
    assert left.decode().splitlines() == [
        "# Two boxes.", "title: Kerminy", "", "machines:", "", "  # The new one.", "  kerminy-2:",
        "    title: Neuf", "", "services: {}",
    ]  # fmt: skip
    last = without("sites/k.yaml", left, "machines", "kerminy-2")
    assert last.decode().splitlines() == ["# Two boxes.", "title: Kerminy", "", "", "services: {}"]
    for data in (b"machines: {a: {}, b: {}}\n", b"machines:\n  a: {}\n"):
        with pytest.raises(HentouError, match="cannot be taken out"):
            without("sites/k.yaml", data, "machines", "c" if b"b" not in data else "a")
