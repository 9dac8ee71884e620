"""Secrets on a machine: all in place or none, gone when they leave, and plaintext nowhere else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from agent_world import host_at
from secret_world import World, world

from hentou import compose
from hentou.admin import secrets as laptop
from hentou.agent import secrets
from hentou.agent.host import Host
from hentou.cli import explain, plan
from hentou.effects.disk import Disk
from hentou.effects.process import run
from hentou.errors import HentouError, InvalidCollectiveError
from hentou.features.secrets import UNIT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another account")
pytestmark = as_root


class Machine:
    """The anchor, whose disk is a folder, with what its generation says of secrets written to it."""

    def __init__(self, here: World, root: Path) -> None:
        self.here, self.root = here, root
        self.host: Host = host_at(root)
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:33::/:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\nweb:x:33:\n")
        self.disk = Disk(root)
        for folder in ("/run", "/var/lib/hentou/keys", "/etc/hentou/secrets"):
            self.disk.make_directory(folder)
        self.restarted: list[tuple[str, ...]] = []
        self.said: list[str] = []

    def converge(self) -> None:
        """Owned files as a generation has them, and the unit run."""
        found = compose.compiler(self.here.load()).generation(self.here.load().machines["anchor"])
        self.disk.write(secrets.KEY, self.here.age["anchor"].encode() + b"\n", 0o600)
        wanted = [entry for entry in found.manifest.entries if entry.path.startswith("/etc/hentou/secrets")]
        for name in self.disk.names(secrets.CIPHERTEXTS):
            self.disk.remove(f"{secrets.CIPHERTEXTS}/{name}")
        for entry in wanted:
            self.disk.write(entry.path, found.contents[entry.digest or ""], entry.mode)
        self.run()

    def run(self) -> None:
        secrets.place(self.disk, lambda units: self.restarted.append(tuple(units)), self.said.append)

    def files(self) -> dict[str, bytes]:
        """Everything on its disk but what the generation wrote, the key, and the records of digests."""
        paths = {"/" + str(p.relative_to(self.root)): p for p in self.root.rglob("*") if p.is_file()}
        own = ("/etc/hentou", "/etc/passwd", "/etc/group", secrets.KEY, secrets.IN_MEMORY, secrets.LASTING)
        return {path: file.read_bytes() for path, file in paths.items() if not path.startswith(own)}


@pytest.fixture
def here(tmp_path: Path) -> World:
    return world(tmp_path)


@pytest.fixture
def anchor(here: World, tmp_path: Path) -> Machine:
    return Machine(here, tmp_path / "disk")


def about(anchor: Machine, path: str) -> tuple[int, int, int]:
    found = anchor.disk.stat(path)
    assert found
    return found.mode, found.uid, found.gid


def test_each_secret_has_its_place_owner_and_mode(anchor: Machine) -> None:
    top = anchor.here.top
    laptop.put(top, "door", b"sesame", machines=("anchor",))
    laptop.put(top, "web", b"open", machines=("anchor",), path="/etc/web/key", owner="web", group="web", mode="0440")
    laptop.put(top, "other", b"no", machines=("buoy",))
    anchor.converge()
    assert anchor.files() == {"/run/hentou/secrets/door": b"sesame", "/etc/web/key": b"open"}
    assert about(anchor, "/run/hentou/secrets/door") == (0o400, 0, 0)
    assert about(anchor, "/etc/web/key") == (0o440, 33, 33)
    assert about(anchor, secrets.PLACE) == (0o711, 0, 0)
    assert anchor.said == ["2 in place, 2 changed, 0 removed"]


def test_only_programs_whose_secret_changed_are_restarted(anchor: Machine) -> None:
    top = anchor.here.top
    laptop.put(top, "door", b"1", machines=("anchor",), unit="door.service")
    laptop.put(top, "web", b"1", machines=("anchor",), unit="web.service", path="/etc/web")
    anchor.converge()
    anchor.run()
    assert anchor.restarted == [("door.service", "web.service")]
    laptop.rekey(top, "door", [anchor.here.private["yuna"]])
    laptop.put(top, "web", b"2")
    anchor.converge()
    assert anchor.restarted[1:] == [("web.service",)]
    anchor.disk.remove_tree("/run/hentou")  # a reboot
    anchor.run()
    assert anchor.restarted[2:] == [("door.service",)], "what lasts has not changed"


def test_what_leaves_is_taken_away_unless_somebody_else_wrote_there(anchor: Machine) -> None:
    top = anchor.here.top
    for name in ("door", "web", "mine"):
        laptop.put(top, name, name.encode(), machines=("anchor",), path=f"/etc/{name}")
    laptop.put(top, "stays", b"s", machines=("anchor",))
    anchor.converge()
    anchor.disk.write("/etc/mine", b"a file of the generation now")
    for name in ("door", "web", "mine"):
        laptop.remove(top, name)
    anchor.converge()
    assert anchor.files() == {"/run/hentou/secrets/stays": b"s", "/etc/mine": b"a file of the generation now"}
    secrets.withdraw(anchor.disk, anchor.said.append)
    assert anchor.files() == {"/etc/mine": b"a file of the generation now"}


def test_a_restart_of_the_unit_restarts_no_program(anchor: Machine) -> None:
    laptop.put(anchor.here.top, "door", b"1", machines=("anchor",), unit="door.service")
    anchor.converge()
    secrets.withdraw(anchor.disk, anchor.said.append)
    anchor.run()
    assert (anchor.files(), len(anchor.restarted)) == ({"/run/hentou/secrets/door": b"1"}, 1)


def test_a_power_cut_leaves_no_orphan_on_the_disk(anchor: Machine) -> None:
    top = anchor.here.top
    laptop.put(top, "stays", b"s", machines=("anchor",))
    laptop.put(top, "door", b"1", machines=("anchor",), path="/etc/door")
    anchor.converge()
    laptop.remove(top, "door")
    anchor.disk.remove_tree("/run/hentou")
    anchor.converge()
    assert "/etc/door" not in anchor.files()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.disk.write("/etc/hentou/secrets/web.age", b"age-encryption.org/v1\n-"), "secret web is damaged"),
        (lambda m: m.disk.write("/etc/passwd", b"root:x:0:0::/:/bin/sh\n"), "secret web belongs to web"),
        (lambda m: m.disk.remove(secrets.KEY), "no key to read secrets with"),
        (lambda m: m.disk.write(secrets.KEY, m.here.age["buoy"].encode()), "is not encrypted for this machine's key"),
        (lambda m: m.disk.write(secrets.KEY, b"x"), "is no age key"),
        (lambda m: m.disk.write(secrets.INDEX, b"{"), "is damaged"),
        (lambda m: m.disk.make_directory("/etc/web"), "/etc/web is no file"),
        (lambda m: m.disk.symlink("/etc/web", "/etc/passwd"), "/etc/web is no file"),
    ],
)
def test_one_that_fails_leaves_all_as_they_were(anchor: Machine, spoil: object, words: str) -> None:
    top = anchor.here.top
    laptop.put(top, "door", b"old", machines=("anchor",))
    anchor.converge()
    laptop.put(top, "door", b"new")
    laptop.put(top, "new", b"new", machines=("anchor",))
    laptop.put(top, "web", b"sesame", machines=("anchor",), path="/etc/web", owner="web")
    anchor.run = lambda: None  # type: ignore[method-assign]
    anchor.converge()
    spoil(anchor)  # type: ignore[operator]
    before = anchor.files()
    with pytest.raises(HentouError) as caught:
        secrets.place(anchor.disk, lambda _: None, anchor.said.append)
    assert words in caught.value.message
    assert "sesame" not in caught.value.message + caught.value.hint
    assert anchor.files() == before
    assert before["/run/hentou/secrets/door"] == b"old"


def test_no_link_is_followed(anchor: Machine) -> None:
    """A folder's owner cannot have a secret, or root's write, led elsewhere."""
    laptop.put(anchor.here.top, "web", b"v", machines=("anchor",), path="/var/lib/web/key", owner="web")
    anchor.disk.make_directory("/var/lib")
    anchor.disk.symlink("/var/lib/web", "/etc")
    os.chown(anchor.root / "var/lib/web", 33, 33, follow_symlinks=False)
    with pytest.raises(HentouError):
        anchor.converge()
    assert not (anchor.root / "etc/key").exists()


def test_a_machine_without_secrets_gets_nothing(here: World) -> None:
    laptop.put(here.top, "door", b"v", machines=("anchor",))
    compiler = compose.compiler(here.load())
    buoy = compiler.generation(here.load().machines["buoy"]).manifest
    assert UNIT not in {unit.name for unit in buoy.units}
    assert not [entry.path for entry in buoy.entries if "secret" in entry.path]
    anchor = compiler.generation(here.load().machines["anchor"]).manifest
    assert UNIT in {unit.name for unit in anchor.units}
    assert {entry.mode for entry in anchor.entries if entry.path.startswith("/etc/hentou/secrets")} == {0o600}


def test_no_file_of_the_generation_is_overwritten(here: World) -> None:
    laptop.put(here.top, "door", b"v", machines=("anchor",), path="/etc/nftables.conf")
    compiler = compose.compiler(here.load())
    with pytest.raises(InvalidCollectiveError) as caught:
        compiler.generation(here.load().machines["anchor"])
    (problem,) = caught.value.problems
    assert problem.message == "file /etc/nftables.conf on anchor is claimed by base and by secrets"
    assert (problem.path, problem.source) == ("secrets/door.yaml", "path: /etc/nftables.conf")


def test_plaintext_is_nowhere_in_what_is_compiled_told_or_stored(
    anchor: Machine, capfd: pytest.CaptureFixture[str]
) -> None:
    value = b"PLAIN-sesame-4711"
    laptop.put(anchor.here.top, "door", value, machines=("anchor",), unit="door.service")
    found = compose.compiler(anchor.here.load()).generation(anchor.here.load().machines["anchor"])
    assert value not in found.manifest.json
    assert value.decode() not in repr(found) + repr(anchor.here.load())
    assert value not in b"".join(found.contents.values())
    run(["git", "init", "--quiet", anchor.here.top])
    run(["git", "-C", anchor.here.top, "add", "."])
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    run(["git", "-C", anchor.here.top, *author, "commit", "--quiet", "-m", "x"])
    plan.plan(anchor.here.top, "anchor")
    explain.explain(anchor.here.top, "anchor", "/etc/hentou/secrets/door.age")
    anchor.converge()
    record = json.loads(anchor.disk.read(secrets.IN_MEMORY))
    everything = capfd.readouterr()
    assert "door" in everything.out
    assert value.decode() not in everything.out + everything.err + json.dumps(record) + "".join(anchor.said)
    assert [path for path, data in anchor.files().items() if value in data] == ["/run/hentou/secrets/door"]
    with pytest.raises(HentouError):
        laptop.put(anchor.here.top, "X", value)


def test_the_unit_is_told_in_one_line_and_fails(anchor: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    laptop.put(anchor.here.top, "door", b"v", machines=("anchor",))
    anchor.converge()
    assert secrets.main([], anchor.root) == 0
    assert capsys.readouterr().out == "hentou-secrets: 1 in place, 0 changed, 0 removed\n"
    anchor.disk.write(secrets.KEY, anchor.here.age["buoy"].encode())
    assert secrets.main([], anchor.root) == 1
    assert capsys.readouterr().out == (
        "hentou-secrets: secret door is not encrypted for this machine's key; "
        "an admin runs `hentou secret rekey door`\n"
    )
    assert secrets.main(["--withdraw"], anchor.root) == 0
    assert anchor.files() == {}
