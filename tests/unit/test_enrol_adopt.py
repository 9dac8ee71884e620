"""A machine that runs plain Debian is adopted over SSH: what it is asked, what it is sent, what it must be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from admin_world import machine_at, ssh_key, told, working_copy
from agent_world import host_at

from hentou import compose
from hentou.admin.adopt import BUNDLE, Address, Adoption, check_key, known
from hentou.admin.newcomer import QUESTIONS, Newcomer, judge
from hentou.agent.trusted import TrustStore
from hentou.effects.process import Result, run
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.trust.acceptance import Trust
from hentou.trust.roster import fingerprint

pytestmark = pytest.mark.integration

FRESH = Newcomer("debian", "13", "amd64", 8 * 2**30, "3.13", systemd=True, packages=("git", "wireguard-tools"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"release": "12"}, "it is debian 12, and hentou needs Debian 13"),
        ({"system": "ubuntu", "release": "24.04"}, "it is ubuntu 24.04"),
        ({"system": "", "release": ""}, "of an unknown kind"),
        ({"systemd": False}, "without systemd"),
        ({"arch": "arm64"}, "its processor is arm64, and kerminy-1 is described as amd64"),
        ({"free": 2**30}, "1.0 GB of free disk, and 2 GB are needed"),
        ({"repository": "ab" * 16, "machine": "kerminy-1"}, "follows another collective already .repository abababab"),
        ({"repository": "cd" * 16, "machine": "konkarlab-1"}, "it is konkarlab-1 already"),
    ],
)
def test_a_machine_that_cannot_become_this_one_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    wanted = compose.load(DirectoryTree(working_copy(tmp_path))).machines["kerminy-1"]
    judge(FRESH, wanted, "cd" * 16)
    judge(replace(FRESH, repository="cd" * 16, machine="kerminy-1"), wanted, "cd" * 16)
    with pytest.raises(HentouError, match=message) as refused:
        judge(replace(FRESH, **changes), wanted, "cd" * 16)  # type: ignore[arg-type]
    assert refused.value.hint


def test_the_questions_are_answered_by_a_real_shell() -> None:
    said = Newcomer.parse(f"Welcome!\n{run(['sh', '-s'], stdin=QUESTIONS).stdout}")
    assert said.system
    assert said.arch
    assert said.free > 0
    assert said.python.startswith("3.")
    assert "git" not in said.packages
    assert Newcomer.parse("without=wg\nwithout=wg\nvenv=\n").packages == ("python3-venv", "wireguard-tools")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ssh://192.168.1.63", Address("192.168.1.63")),
        ("ssh://debian@vps.example:2222", Address("vps.example", 2222, "debian")),
        ("ssh://root@[2001:db8::1]/", Address("2001:db8::1")),
    ],
)
def test_addresses(text: str, found: Address) -> None:
    assert Address.parse(text) == found
    assert Address.parse(str(found)) == found


@pytest.mark.parametrize("text", ["http://a", "ssh://", "ssh://a:port", "ssh://a/etc", "ssh://-oProxyCommand=x"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(HentouError, match="is no ssh://"):
        Address.parse(text)


def test_host_keys_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = " ".join(ssh_key(tmp_path, "host").with_suffix(".pub").read_text().split()[:2])
    check_key(key, fingerprint(key))
    with pytest.raises(HentouError, match="not SHA256:other"):
        check_key(key, "SHA256:other")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not known(Address("nowhere.example"), key)


class Remote:
    """A machine at the other end: what hentou does there is done on a directory, the rest is written down."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = host_at(root)
        self.words: list[str] = []
        self.sent: list[int] = []
        self.offline = False
        self.answers = "system=debian\nrelease=13\narch=amd64\nfree=9000000\nvenv=yes\nsystemd=yes\nwithout=git\n"

    def __call__(self, words: Sequence[str], stdin: bytes, timeout: float) -> Result:  # noqa: ARG002, PLR0911
        self.words.append(words[0] if words[0] != "sh" else " ".join(words[:2]))
        here = str(self.root / BUNDLE.lstrip("/"))
        match list(words):
            case ["sh", "-s"]:
                return Result((), 0, self.answers, "")
            case ["sh", "-c", script]:
                return run(["sh", "-c", script.replace(BUNDLE, here)], check=False)
            case ["tar", *_]:
                self.sent.append(len(stdin))
                return run([word.replace(BUNDLE, here) for word in words], stdin=stdin, check=False)
            case ["rm", *_]:
                return run([word.replace(BUNDLE, here) for word in words], check=False)
            case ["hentou", "pin", *_]:
                TrustStore(self.host).pin(stdin)
                return Result((), 0, "", "")
            case ["hentou", "identity", *_]:
                said = json.dumps(machine_at(self.root, "kerminy-1"))
                return Result((), 0, said, "", said.encode())
            case ["env", "DEBIAN_FRONTEND=noninteractive", *_]:
                return Result((), 100 if self.offline else 0, "", "E: no network\n")
        return Result((), 0, "", "")

    @property
    def bundle(self) -> dict[str, str]:
        folder = self.root / BUNDLE.lstrip("/")
        return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return working_copy(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    (folder / "install.sh").write_text("#!/bin/sh\n")
    (folder / "hentou-1.whl").write_text("one")
    (folder / "wheels/a.whl").write_text("a" * 50_000)
    (folder / "trust.json").write_text("another machine's")
    return folder


def test_adopted_in_one_go_and_updated_by_the_next(repository: Path, bundle: Path, tmp_path: Path) -> None:
    remote = Remote(tmp_path / "m")
    heard: list[str] = []
    keys = [tmp_path / "yuna"]
    host_key = machine_at(tmp_path / "m", "kerminy-1")["ssh_host"]

    def adopt() -> str:
        adoption = Adoption(repository, "kerminy-1", remote, heard.append)
        adoption.install(bundle, adoption.examine())
        done = adoption.enrol(host_key, identities=keys)
        adoption.note(Address("192.168.1.63"))
        return done.enrolled.commit if done.enrolled else ""

    commit = adopt()
    assert commit == told(repository, "rev-parse", "HEAD")
    assert heard == ["installing git", "sending 0.1 MB", "installing hentou"]
    assert remote.bundle.keys() == {"install.sh", "hentou-1.whl", "wheels/a.whl"}
    assert told(repository, "config", "hentou.kerminy-1.ssh") == "ssh://root@192.168.1.63"
    trust = TrustStore(remote.host).pinned()
    assert trust == Trust.parse((repository / ".git/hentou/trust.json").read_bytes())

    remote.answers += f"machine=kerminy-1\nrepository={trust.repository}\n"
    (bundle / "hentou-1.whl").unlink()
    (bundle / "hentou-2.whl").write_text("two")
    remote.words.clear()
    assert adopt() == ""
    assert remote.bundle.keys() == {"install.sh", "hentou-2.whl", "wheels/a.whl"}
    assert remote.sent[1] < 20_000 < remote.sent[0]
    assert remote.words.count("hentou") == 1


def test_another_machine_than_the_one_that_answered_is_not_enrolled(repository: Path, tmp_path: Path) -> None:
    adoption = Adoption(repository, "kerminy-1", Remote(tmp_path / "m"))
    other = " ".join(ssh_key(tmp_path, "host").with_suffix(".pub").read_text().split()[:2])
    with pytest.raises(HentouError, match="another SSH host key than the one that answered"):
        adoption.enrol(other, identities=[tmp_path / "yuna"])
    assert not (repository / "keys").exists()


def test_what_fails_there_is_told_with_its_own_words(repository: Path, bundle: Path, tmp_path: Path) -> None:
    remote = Remote(tmp_path / "m")
    remote.offline = True
    adoption = Adoption(repository, "kerminy-1", remote)
    with pytest.raises(HentouError, match="cannot install git: E: no network") as refused:
        adoption.install(bundle, adoption.examine())
    assert "apt-get install git" in refused.value.hint
    failing = Adoption(repository, "kerminy-1", lambda *_: Result((), 1, "", "sh: not found\n"))
    with pytest.raises(HentouError, match="kerminy-1 did not tell what it is: sh: not found"):
        failing.examine()
    with pytest.raises(HentouError, match="no machine is called 'kerminy-9'"):
        Adoption(repository, "kerminy-9", remote)
