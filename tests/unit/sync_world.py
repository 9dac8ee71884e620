"""Machines with real repositories in directories, admins with real keys, peers served by the real `git daemon`."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread

from agent_world import FakeClock, FakeSystem

from hentou.agent.follow import Done
from hentou.agent.host import Host
from hentou.agent.inbox import HEADS, Inbox
from hentou.agent.sync import Options, Report, sync
from hentou.agent.trusted import TrustStore
from hentou.effects import clock, sshsig
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.ledger import statements
from hentou.ledger.statements import PROPOSALS, Kept
from hentou.trust.acceptance import Trust
from hentou.trust.roster import Roster, fingerprint
from hentou.trust.statement import NAMESPACE, Statement

REPOSITORY = "ab" * 16


@cache
def key(name: str) -> Path:
    """A private key of OpenSSH's, made once in a run."""
    file = Path(mkdtemp(prefix="hentou-keys-")) / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file], check=True)
    return file


def public(name: str) -> str:
    """Its public half."""
    return key(name).with_suffix(".pub").read_text().strip()


def roster(
    *people: str, threshold: int = 1, root: int | None = None, epoch: int = 1, **keys: tuple[str, ...]
) -> Roster:
    """A roster of people with a key named like them, or those given."""
    admins = {p: frozenset(fingerprint(public(k)) for k in keys.get(p, (p,))) for p in people}
    return Roster(epoch, threshold, threshold if root is None else root, admins)


def roster_yaml(
    *people: str, threshold: int = 1, root: int | None = None, epoch: int = 1, **keys: tuple[str, ...]
) -> bytes:
    """The same as a file."""
    lines = [
        f"epoch: {epoch}",
        f"threshold: {threshold}",
        f"root_threshold: {threshold if root is None else root}",
        "admins:",
    ]
    for person in people:
        lines += [f"  {person}:", *(f"    - {public(k)}" for k in keys.get(person, (person,)))]
    return "\n".join([*lines, ""]).encode()


@dataclass
class Author:
    """An admin's repository, in which heads and statements are made; `trust` is what its owner believes."""

    path: Path
    first: Trust
    roster: bytes
    chain: list[Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        GitStore.init(self.path)
        self.store = GitStore(self.path, durable=False)
        self.store.git("config", "uploadpack.allowAnySHA1InWant", "true")

    def head(self, files: Mapping[str, bytes] | None = None, parent: str | None = None, message: str = "change") -> str:
        """A new head on top of the last one, or of `parent` (empty: none)."""
        before = self.chain[-1].statement.head if self.chain and parent is None else parent
        all_files = {"roster.yaml": self.roster, **(files or {})}
        return self.store.write_commit(all_files, [before] if before else [], message)

    def statement(self, head: str, **other: object) -> Statement:
        """The next statement, or another one."""
        last = self.chain[-1].statement if self.chain else None
        fields: dict[str, object] = {
            "repository": self.first.repository,
            "sequence": last.sequence + 1 if last else 1,
            "previous": (last.digest,) if last else (),
            "head": head,
            "epoch": last.epoch if last else 1,
        }
        return Statement(**{**fields, **other})  # type: ignore[arg-type]

    def sign(self, statement: Statement, *signers: str, parents: list[str] | None = None) -> Kept:
        """Keep a statement with signatures."""
        before = [self.chain[-1].commit] if self.chain else []
        signatures = [sshsig.sign(key(name), NAMESPACE, statement.data) for name in signers]
        return statements.write(self.store, statement, signatures, before if parents is None else parents)

    def publish(self, *signers: str, files: Mapping[str, bytes] | None = None, **other: object) -> Kept:
        """One step further."""
        count = len(self.chain) + 1
        head = self.head(files or {"note": f"step {count}\n".encode()}, message=f"step {count}")
        kept = self.sign(self.statement(head, **other), *(signers or ("ann",)))
        self.chain.append(kept)
        return kept

    def push(self, machine: Machine, kept: Kept, person: str = "ann", heads: bool = True) -> None:
        """Push a statement and its head to a machine's inbox, as `hentou publish` does."""
        specs = [f"+{kept.commit}:{PROPOSALS}/{person}"]
        specs += [f"+{kept.statement.head}:{HEADS}/{kept.statement.head}"] if heads else []
        Inbox(machine.host.disk).prepare()
        self.store.git("push", "--quiet", str(machine.at("inbox.git")), *specs)


@dataclass
class Machine:
    """A machine in a directory."""

    root: Path
    name: str = "kerminy-1"

    def __post_init__(self) -> None:
        self.told: list[str] = []
        self.activated: list[str] = []
        self.failing: dict[str, int] = {}
        own = FakeClock()
        self.host = Host(
            Disk(self.root), FakeSystem(), tell=self.told.append, sleep=clock.sleep, monotonic=own.monotonic
        )
        (self.root / "etc/hentou").mkdir(parents=True, exist_ok=True)
        (self.root / "etc/hentou/machine").write_text(f"{self.name}\n")

    def at(self, name: str) -> Path:
        return self.root / "var/lib/hentou" / name

    @property
    def trusted(self) -> TrustStore:
        return TrustStore(self.host)

    @property
    def trust(self) -> Trust:
        return self.trusted.pinned()

    def pin(self, trust: Trust) -> None:
        self.trusted.pin(trust.json)

    def peers(self, **addresses: str) -> None:
        """Write who the peers are."""
        record = {
            "machine": self.name, "site": "kerminy", "address": "127.0.0.1", "port": 8422, "poll": 60,
            "peers": [{"name": name, "address": address} for name, address in addresses.items()],
        }  # fmt: skip
        (self.root / "etc/hentou/agent.json").write_text(json.dumps(record))

    def sync(self, **options: object) -> Report:
        return sync(self.host, Options(**{"run": self.run, **options}))  # type: ignore[arg-type]

    def run(self, commit: str) -> Done:
        """Activate, as far as this test's machine can."""
        self.activated.append(commit)
        status = self.failing.get(commit, 0)
        if not status:
            from dataclasses import replace

            self.host.store.save(replace(self.host.store.state(), commit=commit))
        return Done(status, "said no" if status else "")

    @property
    def remembered(self) -> dict[str, object]:
        return json.loads(self.at("sync.json").read_text()) if self.at("sync.json").exists() else {}

    def frozen(self) -> tuple[object, ...]:
        """All that a refusal must leave as it is."""
        repo = self.trusted.repo
        objects = repo.git("cat-file", "--batch-check", "--batch-all-objects").stdout
        return self.at("trust.json").read_bytes(), repo.refs("refs"), objects


def founded(path: Path, *people: str, **how: object) -> tuple[Author, Trust]:
    """An admin's repository and the trust that machines are pinned to."""
    names = people or ("ann",)
    trust = Trust(REPOSITORY, 0, "", "", roster(*names, **how))  # type: ignore[arg-type]
    return Author(path, trust, roster_yaml(*names, **how)), trust  # type: ignore[arg-type]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """Serve FOLDER/repo.git as a machine does; its address."""
    port = free_port()
    command = [
        "git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}",
        f"--base-path={folder}", "--timeout=30", str(folder),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(running.pid, 15)
        running.wait()


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A TCP server on loopback that gives every connection to `answer`, each in a thread; its address."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def cutting(address: str, after: int, stall: float = 0) -> Callable[[socket.socket], None]:
    """Pass everything on to a server, and hang up on whoever gets more than `after` bytes from it; `stall` seconds
    later.
    """
    host, port = address.split(":")

    def relay(connection: socket.socket) -> None:
        with socket.create_connection((host, int(port))) as behind:
            given = 0
            while True:
                ready, _, _ = select.select([connection, behind], [], [], 30)
                for one in ready:
                    data = one.recv(4096)
                    if not data:
                        return
                    if one is connection:
                        behind.sendall(data)
                        continue
                    connection.sendall(data[: after - given])
                    given += len(data)
                    if given >= after:
                        time.sleep(stall)
                        return

    return relay


def dripping(connection: socket.socket) -> None:
    """Garbage, a little at a time, forever."""
    while True:
        connection.sendall(b"0032" + os.urandom(46))
        time.sleep(0.05)
