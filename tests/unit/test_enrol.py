"""Enrolment: keys that a machine makes once, the code that stands for them, and the commit that believes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer
from admin_world import machine_at, ssh_key, told, working_copy
from agent_world import host_at
from cryptography import x509
from typer.testing import CliRunner

from hentou import compose
from hentou.admin import secrets
from hentou.admin.commits import commit
from hentou.admin.enrol import Enrolled, ask, enrol
from hentou.agent.identity import identity as identity_of
from hentou.cli import enrol as cli
from hentou.effects.process import run
from hentou.effects.tree import DirectoryTree
from hentou.effects.web import Page
from hentou.errors import HentouError, InvalidCollectiveError
from hentou.trust import identity

pytestmark = pytest.mark.integration

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def take(repository: Path, name: str, said: dict[str, Any], **more: Any) -> Enrolled:
    return enrol(repository, name, said, **{"identities": [repository.parent / "yuna"], "now": NOW, **more})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return working_copy(tmp_path)


def test_a_machine_makes_its_keys_once_and_tells_only_public_halves(tmp_path: Path) -> None:
    first = machine_at(tmp_path, "kerminy-1")
    again = machine_at(tmp_path, "kerminy-1")
    assert {**first, "csr": ""} == {**again, "csr": ""}
    keys = tmp_path / "var/lib/hentou/keys"
    secret = [path for path in keys.iterdir() if path.suffix != ".pub"]
    assert {path.name for path in secret} == {"wireguard.key", "issuer.key", "journal", "age.key"}
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    assert keys.stat().st_mode & 0o777 == 0o700
    said = json.dumps(first)
    for path in secret:
        assert not any(line in said for line in path.read_text().splitlines() if "-----" not in line)
    assert run(["ssh-keygen", "-l", "-f", keys / "journal"]).stdout.split()[2:] == ["kerminy-1", "(ED25519)"]


def test_an_interrupted_first_start_is_continued(tmp_path: Path) -> None:
    first = machine_at(tmp_path, "kerminy-1")
    keys = tmp_path / "var/lib/hentou/keys"
    (keys / "journal.pub").unlink()
    (keys / ".journal.new").write_text("half a key")
    assert machine_at(tmp_path, "kerminy-1")["journal"] == first["journal"]
    (keys / "journal").unlink()
    (keys / "journal.pub").unlink()
    assert machine_at(tmp_path, "kerminy-1")["journal"] != first["journal"]
    assert not (keys / ".journal.new").exists()


def test_a_copied_disk_gets_keys_of_its_own(tmp_path: Path) -> None:
    first = machine_at(tmp_path, "kerminy-1")
    anew = identity_of(host_at(tmp_path), "kerminy-1", new=True)
    assert anew["ssh_host"] == first["ssh_host"]
    assert all(anew[name] != first[name] for name in ("wireguard", "journal", "age", "code"))
    assert machine_at(tmp_path, "kerminy-1")["code"] == anew["code"]


def test_the_code_stands_for_every_public_half(tmp_path: Path) -> None:
    said = machine_at(tmp_path / "a", "kerminy-1")
    other = machine_at(tmp_path / "b", "kerminy-1")
    assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", said["code"])
    assert re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", said["fingerprint"])
    codes = {identity.code({**said, name: other[name]}) for name in identity.FIELDS if name != "machine"}
    assert len(codes | {said["code"], identity.code({**said, "machine": "kerminy-2"})}) == 7
    with pytest.raises(HentouError, match="without its 'age'"):
        identity.code({**said, "age": ""})


def test_enrolment_is_one_commit_that_the_collective_loads(repository: Path, tmp_path: Path) -> None:
    (repository / "notes.txt").write_text("being written")
    said = machine_at(tmp_path / "m", "kerminy-1")
    done = take(repository, "kerminy-1", said)
    assert not done.replaced
    assert told(repository, "log", "-1", "--format=%s") == f"Enrol kerminy-1 ({said['code']})"
    changed = told(repository, "show", "--name-only", "--format=", done.commit).splitlines()
    assert changed == [
        "keys/authority.pem",
        "keys/kerminy-1.yaml",
        "secrets/authority.age",
        "secrets/authority.yaml",
    ]
    assert told(repository, "status", "--porcelain") == "?? notes.txt"
    keys = compose.load(DirectoryTree(repository)).keys["kerminy-1"]
    assert (keys.wireguard, keys.age) == (said["wireguard"], said["age"])
    assert (keys.ssh_host, keys.journal) == (said["ssh_host"], said["journal"])
    issuer = x509.load_pem_x509_certificate((keys.certificate or "").encode())
    limits = issuer.extensions.get_extension_for_class(x509.NameConstraints).value
    assert list(limits.permitted_subtrees or ()) == [x509.DNSName("kerminy.pilot.example")]
    issuer.verify_directly_issued_by(x509.load_pem_x509_certificate((repository / "keys/authority.pem").read_bytes()))


def test_the_authority_is_made_once(repository: Path, tmp_path: Path) -> None:
    take(repository, "kerminy-1", machine_at(tmp_path / "m", "kerminy-1"))
    before = (repository / "keys/authority.pem").read_bytes()
    take(repository, "kerminy-2", machine_at(tmp_path / "n", "kerminy-2"))
    assert (repository / "keys/authority.pem").read_bytes() == before


def test_new_keys_need_to_be_wanted(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take(repository, "kerminy-1", machine_at(tmp_path / "m", "kerminy-1"))
    anew = machine_at(tmp_path / "n", "kerminy-1")
    with pytest.raises(HentouError, match="enrolled already") as refused:
        take(repository, "kerminy-1", anew)
    assert "--replace" in refused.value.hint
    done = take(repository, "kerminy-1", anew, replace=True)
    assert done.replaced
    assert told(repository, "log", "-1", "--format=%s") == f"Enrol kerminy-1 anew ({anew['code']})"
    cli.tell("kerminy-1", done)
    assert "its new journal key begins a new journal" in capsys.readouterr().out
    cli.tell("kerminy-1", take(repository, "kerminy-1", anew, replace=True, now=NOW.replace(hour=13)))
    assert "its keys are the same as before; its certificate is new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"machine": "kerminy-2"}, "the identity of 'kerminy-2'"),
        ({"wireguard": "short"}, "said no wireguard"),
        ({"journal": "ssh-ed25519 AAAA: x"}, "said no journal"),
        ({"age": "age1short\ncertificate: x"}, "said no age"),
        ({"csr": "no request"}, "cannot be read"),
        ({"ssh_host": 5}, "without its 'ssh_host'"),
    ],
)
def test_what_cannot_be_right_is_refused(
    repository: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    said = machine_at(tmp_path / "m", "kerminy-1") | changes
    with pytest.raises(HentouError, match=message):
        take(repository, "kerminy-1", said)
    assert not (repository / "keys/kerminy-1.yaml").exists()


def test_a_copied_disk_is_refused_and_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    take(repository, "kerminy-1", machine_at(tmp_path / "m", "kerminy-1"))
    with pytest.raises(InvalidCollectiveError, match="kerminy-1"):
        take(repository, "kerminy-2", machine_at(tmp_path / "m", "kerminy-2"))
    assert told(repository, "status", "--porcelain") == ""
    with pytest.raises(HentouError, match="no machine is called 'kermini'"):
        take(repository, "kermini", machine_at(tmp_path / "n", "kermini"))


def test_without_a_key_that_age_can_use_the_authority_stays_beside(repository: Path, tmp_path: Path) -> None:
    hardware = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t"
    (repository / "roster.yaml").write_text(f"admins:\n  yuna:\n    - {hardware}\n")
    take(repository, "kerminy-1", machine_at(tmp_path / "m", "kerminy-1"))
    kept = repository / ".git/hentou/authority.key"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not (repository / "secrets").exists()
    take(repository, "kerminy-2", machine_at(tmp_path / "n", "kerminy-2"))
    kept.unlink()
    with pytest.raises(HentouError, match="its key is not in this repository"):
        take(repository, "kerminy-2", machine_at(tmp_path / "n", "kerminy-2"), replace=True)


def test_a_stranger_cannot_enrol(repository: Path, tmp_path: Path) -> None:
    take(repository, "kerminy-1", machine_at(tmp_path / "m", "kerminy-1"))
    said = machine_at(tmp_path / "n", "kerminy-2")
    with pytest.raises(HentouError, match="cannot read authority"):
        enrol(repository, "kerminy-2", said, identities=[ssh_key(tmp_path, "stranger")], now=NOW)
    assert told(repository, "status", "--porcelain") == ""


def test_a_machine_enrolled_anew_reads_its_secrets_again(repository: Path, tmp_path: Path) -> None:
    keys = [repository.parent / "yuna"]
    take(repository, "kerminy-1", machine_at(tmp_path / "m", "kerminy-1"))
    commit(repository, "A secret", secrets.put(repository, "wifi", b"kouign", machines=("kerminy-1",)))
    anew = machine_at(tmp_path / "n", "kerminy-1")
    done = take(repository, "kerminy-1", anew, replace=True)
    assert done.replaced
    assert "secrets/wifi.age" in told(repository, "show", "--name-only", "--format=").splitlines()
    value = (tmp_path / "n/var/lib/hentou/keys/age.key", tmp_path / "m/var/lib/hentou/keys/age.key")
    assert secrets.read(repository, "wifi", [value[0]]) == b"kouign"
    with pytest.raises(HentouError, match="cannot read wifi"):
        secrets.read(repository, "wifi", [value[1]])
    assert secrets.read(repository, "wifi", keys) == b"kouign"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Page, dict[str, str]]]:
    said = machine_at(tmp_path / "m", "kerminy-1")
    pages: Mapping[str, bytes] = {"text/html": b"<p>look", "application/json": json.dumps(said).encode()}
    page = Page(lambda: pages, 0, "127.0.0.1")
    thread = Thread(target=page.serve)
    thread.start()
    yield page, said
    page.close()
    thread.join()


def test_what_a_machine_shows_is_believed_with_its_code_only(
    repository: Path, served: tuple[Page, dict[str, str]]
) -> None:
    page, said = served
    app = typer.Typer()
    app.command()(cli.enrol)
    words = ["kerminy-1", f"http://127.0.0.1:{page.port}/", "-C", str(repository)]
    words += ["--key", str(repository.parent / "yuna")]
    alone = CliRunner().invoke(app, words)
    assert isinstance(alone.exception, HentouError)
    assert "nobody has compared the code" in alone.exception.message
    wrong = CliRunner().invoke(app, [*words, "--code", "aaaa-bbbb-cccc-dddd"])
    assert isinstance(wrong.exception, HentouError)
    assert "another code" in wrong.exception.message
    assert not (repository / "keys").exists()
    right = CliRunner().invoke(app, [*words, "--code", said["code"].upper().replace("-", " ")])
    assert right.exit_code == 0, right.output
    assert "next: `hentou publish`" in right.stdout


def test_identities_come_from_files_standard_input_and_the_network(
    served: tuple[Page, dict[str, str]], tmp_path: Path
) -> None:
    page, said = served
    file = tmp_path / "identity.json"
    file.write_text(json.dumps(said))
    assert ask(str(file)) == ask("-", file.read_bytes) == ask(f"http://127.0.0.1:{page.port}") == said
    with pytest.raises(HentouError, match="No such file"):
        ask(str(tmp_path / "nowhere"))
    file.write_text("[" * 9000)
    with pytest.raises(HentouError, match="is no identity"):
        ask(str(file))
    file.write_text(json.dumps({**said, "more": "x" * 20_000}))
    with pytest.raises(HentouError, match="is no identity"):
        ask(str(file))
    with pytest.raises(HentouError, match="answers 404"):
        ask(f"http://127.0.0.1:{page.port}/etc/passwd")
    with pytest.raises(HentouError, match="does not answer"):
        ask("http://127.0.0.1:9/")
