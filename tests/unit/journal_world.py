"""Machines with journals for tests: real keys, real Git; each machine is a directory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent_world import NOW, host_at

from hentou.agent.host import Host
from hentou.agent.journals import AGENT, INCOMING, KEY
from hentou.agent.local import MACHINE_FILE, REPOSITORY
from hentou.agent.members import MEMBERS, Members
from hentou.agent.standing import store
from hentou.effects.gitstore import GitStore
from hentou.effects.process import run
from hentou.ledger import journals
from hentou.ledger.journals import Journal, Kept
from hentou.trust.journal import Entry, Kind, Standing, key_id

SITES = {"bzh-1": "bzh", "kerminy-1": "kerminy", "vps-1": "nuage"}


def make_key(file: Path) -> str:
    """A journal key; its public half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", file])
    return Path(f"{file}.pub").read_text().strip()


def moment(minutes: int) -> str:
    return (datetime(2027, 3, 1, 8, 0, tzinfo=UTC) + timedelta(minutes=minutes)).isoformat(timespec="seconds")


@dataclass
class Pen:
    """Who writes a journal: a name, a key, a store."""

    machine: str
    key: Path
    public: str
    store: GitStore

    @classmethod
    def at(cls, folder: Path, machine: str) -> Pen:
        key = folder / "keys" / machine
        return cls(machine, key, make_key(key), GitStore.init(folder / f"{machine}.git"))

    @property
    def journal(self) -> Journal:
        return Journal(self.machine, key_id(self.public))

    @property
    def tip(self) -> str:
        return self.store.get(self.journal.ref)

    def write(self, count: int = 1, text: str = "entry", standing: Standing | None = None) -> str:
        start = self.last.entry.sequence if self.last else 0
        for number in range(start + 1, start + count + 1):
            journals.append(
                self.store, self.machine, self.key, kind=Kind.REPORT, text=f"{text} {number}", at=moment(number),
                standing=standing,
            )  # fmt: skip
        return self.tip

    @property
    def last(self) -> Kept | None:
        return journals.newest(self.store, self.machine, self.public)


class World:
    """Some machines that are members of one collective, each with its own disk."""

    def __init__(self, folder: Path, names: Iterable[str] = SITES) -> None:
        self.folder = folder
        self.now = NOW
        self.keys: dict[str, str] = {}
        self.hosts: dict[str, Host] = {}
        for name in names:
            root = folder / name
            self.hosts[name] = self.host(name)
            (root / "etc/hentou").mkdir(parents=True)
            (root / MACHINE_FILE.lstrip("/")).write_text(f"{name}\n")
            self.keys[name] = make_key(root / KEY.lstrip("/"))
            GitStore.init(root / REPOSITORY.lstrip("/"))
            self.boot(name, "first")
        for name in self.hosts:
            self.members(name, self.keys)

    def host(self, name: str) -> Host:
        host = host_at(self.folder / name)
        host.now = lambda: self.now
        return host

    def boot(self, name: str, boot: str) -> None:
        file = self.folder / name / "proc/sys/kernel/random/boot_id"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{boot}\n")

    def members(self, name: str, keys: Mapping[str, str]) -> None:
        found = Members("0" * 40, dict(keys), SITES)
        self.hosts[name].disk.write(MEMBERS, found.json, 0o600)
        peers = [{"name": other, "address": "::1"} for other in keys if other != name]
        self.hosts[name].disk.write(AGENT, json.dumps({"machine": name, "site": SITES[name], "peers": peers}).encode())

    def store(self, name: str) -> GitStore:
        return store(self.hosts[name])

    def fetched(self, name: str, peer: str) -> GitStore:
        """A scratch repository of `name`, with the journals of a peer as `hentou sync` fetches them."""
        path = self.folder / name / "var/lib/hentou/incoming.git"
        if not path.exists():
            incoming = GitStore.init(path)
            (path / "objects/info/alternates").write_text(f"{self.store(name).path}/objects\n")
        incoming = GitStore(path)
        spec = f"+refs/hentou/journals/*:{INCOMING}/*"
        assert not incoming.fetch(self.store(peer).path, [spec], seconds=60, size=2**28)
        return incoming

    def entries(self, at: str, of: str) -> list[Entry]:
        """The journal of a machine as another one has it, oldest first."""
        here = self.store(at)
        ref = Journal(of, key_id(self.keys[of])).ref
        return [kept.entry for kept in journals.entries(here, ref, 1000)][::-1] if here.get(ref) else []
