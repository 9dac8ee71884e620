"""What a machine that was broken into could do to the laptop of whoever publishes, and cannot."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from publish_world import Box, World
from test_admin_gather import AT, enrol, hear

from hentou.admin.deliver import Fate, hand_over
from hentou.admin.enrol import ask
from hentou.admin.reach import DirectoryConnection
from hentou.effects import ssh
from hentou.effects.gitstore import GitStore
from hentou.effects.process import Result, harmless
from hentou.errors import HentouError
from hentou.ledger import journals, statements
from hentou.trust.journal import Kind

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    enrol(found)
    found.yuna.publish()
    return found


def tagged(repo: GitStore, commit: str) -> str:
    text = f"object {commit}\ntype commit\ntag t\ntagger x <x@x> 0 +0000\n\nx\n"
    return repo.git("mktag", stdin=text).stdout.strip()


def swollen(repo: GitStore, commit: str) -> str:
    raw = repo.raw("commit", commit) + b"a" * 2**21
    return repo.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw).stdout.strip()


@pytest.mark.parametrize("shape", [tagged, swollen])
def test_one_machine_that_shows_junk_keeps_nobody_from_publishing(world: World, shape: object) -> None:
    box = world.boxes["kerminy-1"]
    tip = statements.read(box.repo, box.repo.get(statements.REF))
    made_up = replace(tip.statement, sequence=2, previous=(tip.statement.digest,))
    last = statements.write(box.repo, made_up, tip.signatures.values(), (tip.commit,))
    assert callable(shape)
    box.repo.update({statements.REF: shape(box.repo, last.commit)})
    (alarm,) = hear(world.yuna).alarms
    assert alarm.startswith("kerminy-1: statements that")
    world.yuna.commit("content/y", "y")
    assert {d.machine: d.fate for d in world.yuna.publish().deliveries} == {
        "kerminy-1": Fate.ACCEPTED,
        "konkarlab-1": Fate.ACCEPTED,
    }


def test_a_journal_that_cannot_be_read_is_told(world: World) -> None:
    box = world.boxes["kerminy-1"]
    pen = world.place / "journal-kerminy-1"
    journals.append(box.repo, "kerminy-1", pen, kind=Kind.REPORT, text="well", at=AT)
    ref = next(iter(box.repo.refs("refs/hentou/journals")))
    blob = box.repo.git("hash-object", "-w", "--stdin", stdin=bytes(2**22)).stdout.strip()
    box.repo.update({ref: blob})
    assert hear(world.yuna).alarms == (
        "kerminy-1 serves entries in the journal of kerminy-1 that kerminy-1 did not sign",
    )


def test_invented_names_are_not_brought_home(world: World) -> None:
    box, store = world.boxes["kerminy-1"], world.yuna.copy.store
    pen = world.place / "journal-kerminy-1"
    journals.append(box.repo, "kerminy-1", pen, kind=Kind.REPORT, text="well", at=AT)
    head = box.repo.get("refs/heads/main")
    names = ("heads/evil", "hentou/journals/nobody/0123456789abcdef", "hentou/statements-more", "replace/" + head,
             "tags/v1", "hentou/journals/kerminy-1/0123456789abcdef")  # fmt: skip
    box.repo.update({f"refs/{name}": head for name in names})
    before = set(store.refs("refs"))
    assert not hear(world.yuna).alarms
    new = set(store.refs("refs")) - before
    for machine in world.boxes:
        new -= {f"refs/hentou/remotes/{machine}/statements", f"refs/remotes/hentou/{machine}/main"}
    assert [ref.rpartition("/")[0] for ref in new] == ["refs/hentou/journals/kerminy-1"]
    assert store.get("refs/remotes/hentou/kerminy-1/main") == head


def test_what_a_machine_gives_for_a_reason_steers_no_terminal(world: World) -> None:
    class Liar(Box):
        def run(self, argv: object, stdin: bytes, timeout: float) -> Result:  # noqa: ARG002
            out = '{"refused": {"inbox yuna": "\\u001b[2Jwell"}, "sequence": 0}'
            return Result((), 0, out, "", out.encode())

    box = world.boxes["kerminy-1"]
    copy = world.yuna.copy
    liar = Liar(box.name, box.root)
    settled = world.yuna.publish().settled
    done = hand_over(DirectoryConnection(copy.store, "kerminy-1", box.root, liar.run), settled, "yuna")
    assert (done.fate, done.reason) == (Fate.REFUSED, "\ufffd[2Jwell")


def fake_ssh(folder: Path, body: str) -> Path:
    folder.mkdir()
    (folder / "ssh").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "ssh").chmod(0o755)
    return folder


def test_nothing_of_a_person_is_forwarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ~/.ssh/config says for all hosts; asked of OpenSSH itself."""
    config = tmp_path / "config"
    config.write_text(
        "Host *\n ForwardAgent yes\n ForwardX11 yes\n RemoteForward 9999 localhost:22\n"
        " LocalForward 9998 localhost:22\n RemoteCommand id\n Tunnel yes\n"
    )
    folder = ssh.private_folder()
    try:
        link = ssh.Link(folder, "c", ssh.Target("kerminy-1", "192.0.2.1"))
        words = [*link._command(), "-F", str(config), "-G", "kerminy-1"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    finally:
        ssh.remove_folder(folder)
    assert {"forwardagent no", "forwardx11 no", "clearallforwardings yes", "tunnel false"} <= set(said)
    assert not [line for line in said if line.startswith("remotecommand")]
    # Who is asked for an identity is not known at all yet.
    fake = fake_ssh(tmp_path / "bin", 'echo "$@" > "$(dirname "$0")/asked"; printf "\\033[2J" >&2; exit 1')
    monkeypatch.setenv("PATH", str(fake), prepend=":")
    with pytest.raises(HentouError) as told:
        ask("ssh://root@192.0.2.1")
    assert "\x1b" not in told.value.message
    asked = (fake / "asked").read_text()
    assert all(f"-o {word}" in asked for word in ("ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"))


def test_lines_that_end_as_a_terminal_ends_them_are_lines() -> None:
    assert harmless("one\r\ntwo\x1b\r\n") == "one\ntwo\ufffd\n"
    assert harmless("refused\r") == "refused"
