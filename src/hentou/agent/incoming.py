"""Fetching from peers: into a scratch repository, within limits of time and size.

/etc/hentou/agent.json (rendered by the feature `sync`) names them:
    {"machine": NAME, "site": NAME, "port": 8422, "poll": SECONDS, "peers": [{"name": NAME, "address": ADDRESS}, …]}
A peer serves its repo.git at git://ADDRESS/repo.git; `address` may carry a port of its own.
/var/lib/hentou/incoming.git (bare, root, alternates: repo.git) is scratch: not durable, made new after each boot and
when it grows large. Nothing in it was verified.
    refs/incoming/peers/PEER/statements   what a peer calls its newest statement
    refs/incoming/heads/COMMIT            a head that came
    refs/incoming/journals/MACHINE/KEYID  journals as one peer gives them, for `agent.journals.exchange`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from hentou.agent.store import BASE
from hentou.effects import clock, probe
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.ledger import statements
from hentou.trust import journal

CONFIGURATION = "/etc/hentou/agent.json"
BOOTSTRAP = "/run/hentou/bootstrap.json"
"""In place of it on a machine that has no generation yet: the gateways, by `agent.bootstrap`."""

INCOMING = f"{BASE}/incoming.git"
MARK = "/run/hentou/incoming"
"""In memory: the scratch repository was made since this boot."""

GIT_PORT = 9418
AT_ONCE = 8
KNOCK_SECONDS = 3.0
STATEMENTS_SECONDS, STATEMENTS_SIZE = 20.0, 16 * 2**20
HEADS_SECONDS, HEADS_SIZE = 240.0, 256 * 2**20
"""Seconds for all that one sync fetches from one peer; a fetch gets half of what is left, so that a smaller one can
follow one that was too much for the line.
"""

JOURNALS_SECONDS, JOURNALS_SIZE = 30.0, 64 * 2**20
LARGE = 128 * 2**20
"""Bytes of the scratch repository after which it is made new."""

_SETTINGS = {"uploadpack.allowAnySHA1InWant": "true"}
_PLAIN = {"LC_ALL": "C"}
_NONE_THERE = "couldn't find remote ref"


@dataclass(frozen=True)
class Peer:
    """Another machine of the collective; `address` is an IP address, perhaps with a port: `[::1]:9999`."""

    name: str
    address: str

    @property
    def target(self) -> str:
        """HOST:PORT, for sockets and URLs."""
        try:
            found = ip_address(self.address)
        except ValueError:
            return self.address
        return f"[{found}]:{GIT_PORT}" if found.version == 6 else f"{found}:{GIT_PORT}"

    @property
    def url(self) -> str:
        """Where it serves its repository."""
        return f"git://{self.target}/repo.git"


@dataclass(frozen=True)
class Answer:
    """What became of asking a peer: its newest statement's commit (empty: none yet), or why there is no answer.

    `away` says that nobody was there at all, which is no fault of anybody's.
    """

    peer: Peer
    tip: str = ""
    why: str = ""
    away: bool = False


def peers(disk: Disk, only: str = "") -> list[Peer]:
    """The peers of this machine; none where no configuration says so."""
    try:
        record = json.loads(disk.read_or_none(CONFIGURATION) or disk.read_or_none(BOOTSTRAP) or b"{}")
        found = [Peer(str(item["name"]), str(item["address"])) for item in record.get("peers", [])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
    return [peer for peer in found if only in ("", peer.name)]


class Incoming:
    """The scratch repository."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._left: dict[str, float] = {}
        self.store = GitStore(Path(disk.at(INCOMING)), durable=False)

    def prepare(self) -> None:
        """Make it new if it is in doubt or large; else only forget the refs of the last time."""
        if self._disk.stat(MARK) is None or not (self.store.path / "HEAD").exists() or self._size() > LARGE:
            self._disk.remove_tree(INCOMING)
            GitStore.init(self.store.path, _SETTINGS)
            self._disk.make_directory(MARK.rpartition("/")[0])
            self._disk.write(MARK, b"", 0o600)
        self.store.borrow(Path(self._disk.at(f"{BASE}/repo.git")))
        self.store.sweep()
        self.forget("refs/incoming")

    def _size(self) -> int:
        return sum(file.stat().st_size for file in self.store.path.glob("objects/*/*") if file.is_file())

    def forget(self, prefix: str) -> None:
        """Remove refs."""
        if found := self.store.refs(prefix):
            self.store.update(dict.fromkeys(found, ""))

    @contextmanager
    def asked(self, everyone: Sequence[Peer]) -> Iterator[Iterator[Answer]]:
        """Ask peers for their newest statement, several at once; answers come as they arrive."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked: list[Future[Answer]] = [pool.submit(self._ask, peer) for peer in everyone]
            yield (done.result() for done in as_completed(asked))
        # Not before: what one transfer left behind looks like what another is just writing.
        self.store.sweep()

    def _ask(self, peer: Peer) -> Answer:
        if why := probe.tcp(peer.target, KNOCK_SECONDS):
            return Answer(peer, why=why, away=True)
        ref = f"refs/incoming/peers/{peer.name}/statements"
        spec = f"+{statements.REF}:{ref}"
        why = self._fetch(peer, [spec], STATEMENTS_SECONDS, STATEMENTS_SIZE)
        if _NONE_THERE in why:
            return Answer(peer)
        return Answer(peer, why=why) if why else Answer(peer, self.store.get(ref))

    def want(self, peer: Peer, commit: str) -> str:
        """Have a peer's commit and its history here; why not, empty when they are."""
        if self.store.has(commit):
            return ""
        left = self._left.get(peer.name, HEADS_SECONDS)
        start = clock.monotonic()
        why = self._fetch(peer, [f"+{commit}:refs/incoming/heads/{commit}"], left / 2, HEADS_SIZE)
        self._left[peer.name] = left - (clock.monotonic() - start)
        if why:
            # A span is tried again by halves, and each try may leave as much. Others only fetch statements meanwhile.
            self.store.sweep(above=STATEMENTS_SIZE)
        return why

    def journals(self, peer: Peer, machines: Iterable[str]) -> str:
        """Fetch the journals of these machines that a peer has, over those of the peer before; why not, empty when
        they are here. Others are not asked for: a peer may have invented thousands. Where they are too much at once,
        each comes alone, and only the first must.
        """
        self.forget("refs/incoming/journals")
        specs = [f"+{journal.REFS}/{name}/*:refs/incoming/journals/{name}/*" for name in machines]
        until = clock.monotonic() + 2 * JOURNALS_SECONDS
        why = self._fetch(peer, specs, JOURNALS_SECONDS, JOURNALS_SIZE) if specs else ""
        if not why or (why := self._fetch(peer, specs[:1], JOURNALS_SECONDS, JOURNALS_SIZE)):
            return why
        # One that is too large must not keep the others out.
        for spec in specs[1:]:
            if (left := until - clock.monotonic()) > 1:
                self._fetch(peer, [spec], left, JOURNALS_SIZE)
        self.store.sweep(above=STATEMENTS_SIZE)
        return ""

    def _fetch(self, peer: Peer, specs: Sequence[str], seconds: float, size: int) -> str:
        return self.store.fetch(peer.url, specs, seconds=seconds, size=size, env=_PLAIN)
