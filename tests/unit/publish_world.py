"""Laptops and machines for tests: people with real keys, clones of one repository, machines as directories."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hentou.admin import publish, workcopy
from hentou.admin.reach import Connection, DirectoryConnection, UnreachableError
from hentou.admin.workcopy import WorkCopy
from hentou.agent.host import Host
from hentou.agent.sync import Options, Report, sync
from hentou.agent.trusted import TrustStore
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.effects.process import Result
from hentou.trust.acceptance import Trust

COLLECTIVE = "name: pilot\ndomain: pilot.example\ncontact: admins@pilot.example\n"
SITE = """\
machines:
  {machine}:
    address: 192.168.{number}.9
lan:
  subnet: 192.168.{number}.0/24
uplinks:
  box:
    kind: fibre
    down: 100M
    up: 10M
"""


def shell(*words: str | Path, cwd: Path | None = None) -> str:
    command = [str(word) for word in words]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def make_key(file: Path) -> Path:
    """A new key of OpenSSH's, without a passphrase."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shell("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", file)
    return file


def public(key: Path) -> str:
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


class Box:
    """A machine whose root file system is a directory."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.host = Host(Disk(root))
        self.activated: list[str] = []

    def pin(self, trust: Trust) -> None:
        (self.root / "var/lib/hentou").mkdir(parents=True)
        store = TrustStore(self.host)
        with store.lock(1):
            store.pin(trust.json)
        self.sync()

    def sync(self) -> Report:
        return sync(self.host, Options(inbox_only=True, follow=False))

    @property
    def trust(self) -> Trust:
        return TrustStore(self.host).pinned()

    @property
    def repo(self) -> GitStore:
        return GitStore(self.root / "var/lib/hentou/repo.git")

    def run(self, argv: Sequence[str], stdin: bytes, timeout: float) -> Result:  # noqa: ARG002
        words = tuple(argv)
        match words:
            case ("hentou", "sync", "--inbox-only", "--no-converge", "--json"):
                out = json.dumps(self.sync().record)
            case ("systemd-run", *_, "hentou", "sync", "--inbox-only"):
                out = ""
                self.activated.append(self.trust.head)
            case ("cat", path):
                out = (self.root / path.lstrip("/")).read_text()
            case _:
                raise AssertionError(words)
        return Result(words, 0, out, "", out.encode())


@dataclass
class Directories:
    """Machines as directories; those in `down` do not answer."""

    store: GitStore
    boxes: Mapping[str, Box]
    down: set[str] = field(default_factory=set)

    def connect(self, machine: str) -> Connection:
        if machine in self.down:
            raise UnreachableError(f"{machine} does not answer: it is off")
        box = self.boxes[machine]
        return DirectoryConnection(self.store, machine, box.root, box.run)

    def all(self, machines: Iterable[str] = ()) -> Mapping[str, Connection | UnreachableError]:
        found: dict[str, Connection | UnreachableError] = {}
        for machine in tuple(machines) or tuple(self.boxes):
            try:
                found[machine] = self.connect(machine)
            except UnreachableError as error:
                found[machine] = error
        return found

    def any(self) -> Connection:
        return next(c for c in self.all().values() if not isinstance(c, UnreachableError))

    def close(self) -> None:
        pass


class Laptop:
    """One admin's working copy."""

    def __init__(self, world: World, person: str, directory: Path) -> None:
        self.world = world
        self.person = person
        self.directory = directory
        self.copy = WorkCopy(directory)
        self.reach = Directories(self.copy.store, world.boxes)
        self.git("config", "user.name", person)
        self.git("config", "user.email", f"{person}@pilot.example")
        self.git("config", "user.signingkey", str(world.key(person)))

    def git(self, *words: str) -> str:
        return shell("git", "-C", self.directory, *words)

    def write(self, path: str, text: str) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def commit(self, path: str, text: str, message: str = "Change") -> str:
        self.write(path, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def publish(self, key: Path | None = None) -> publish.Published:
        return publish.publish(self.copy, self.reach, key)


class World:
    """A collective with two sites, one machine each, and as many admins as wanted."""

    def __init__(self, place: Path, people: Sequence[str] = ("yuna",), threshold: int = 1, root: int = 0) -> None:
        self.place = place
        self.people = people
        self.boxes: dict[str, Box] = {name: Box(name, place / name) for name in ("kerminy-1", "konkarlab-1")}
        self._roster = f"threshold: {threshold}\n" + (f"root_threshold: {root}\n" if root else "")

    def key(self, person: str) -> Path:
        file = self.place / "keys" / person
        return file if file.exists() else make_key(file)

    def roster(self, people: Iterable[str]) -> str:
        """roster.yaml for these people."""
        lines = "".join(f"  {person}:\n    - {public(self.key(person))} {person}\n" for person in people)
        return f"# Who decides.\n{self._roster}admins:\n{lines}"

    @cached_property
    def yuna(self) -> Laptop:
        """The founder's laptop; her machines are pinned, and nothing is published yet."""
        directory = self.place / "yuna"
        directory.mkdir()
        shell("git", "init", "--quiet", "--initial-branch=main", directory)
        laptop = Laptop(self, self.people[0], directory)
        for number, box in enumerate(self.boxes, 1):
            laptop.write(f"sites/{box[:-2]}.yaml", SITE.format(machine=box, number=number))
        for person in self.people:
            laptop.write(f"people/{person}.yaml", f"full_name: {person.title()}\n")
        laptop.write("collective.yaml", COLLECTIVE)
        laptop.commit("roster.yaml", self.roster(self.people), "The pilot")
        trust = workcopy.found(laptop.copy)
        for box in self.boxes.values():
            box.pin(trust)
        return laptop

    def laptop(self, person: str) -> Laptop:
        """Another admin's laptop: a clone of Yuna's working copy, which trusts nothing yet."""
        directory = self.place / f"laptop-{person}"
        shell("git", "clone", "--quiet", self.yuna.directory, directory)
        return Laptop(self, person, directory)
