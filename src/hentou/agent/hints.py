"""Hints: the few bytes by which machines tell each other how far they are. Standard library only.

A hint carries no news, only that there are some; what it makes a machine fetch is verified as anything else. So it
needs no signature: whoever forges one costs a fetch, and fetches are bounded (see neighbours.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Any

from hentou.agent.store import BASE
from hentou.effects.datagrams import Datagrams
from hentou.effects.disk import Disk
from hentou.errors import HentouError

if TYPE_CHECKING:
    # For annotations only: these bring the model in, which a process of 13 MB has no room for.
    from hentou.agent.host import Host
    from hentou.effects.gitstore import GitStore

CONFIGURATION = "/etc/hentou/agent.json"
"""Who this machine is and who its peers are; written by the feature `sync`."""

DIGEST = f"{BASE}/digest"
"""What this machine has, in short; written at the end of every sync."""

_TRUST = f"{BASE}/trust.json"
_MEMBERS = f"{BASE}/members.json"
_JOURNALS = "refs/hentou/journals"
_FORKS = "refs/hentou/forks"
_MESSAGE = Struct("!4sBQ16s")
_MAGIC = b"HNT1"
_BROKEN = (ValueError, TypeError, KeyError, AttributeError)


class Word(IntEnum):
    """What the receiver is to do beside comparing: answer if it has something else, answer anyway, or keep quiet."""

    ASK = 1
    KNOCK = 2
    TELL = 3


@dataclass(frozen=True, slots=True)
class Stand:
    """How far a machine is: the sequence that it has accepted, and a digest of that and of all journals.

    Machines that have the same have the same stand. `again` is when (seconds since 1970) there is something to do
    though no news came, such as a canary's time being over; 0 for never. It is no part of what others are told.
    """

    sequence: int = 0
    digest: bytes = bytes(16)
    again: float = 0.0

    def same_as(self, other: Stand) -> bool:
        """Whether two machines have the same."""
        return (self.sequence, self.digest) == (other.sequence, other.digest)

    @property
    def nothing(self) -> bool:
        """Whether this is a machine that has accepted nothing and knows no journal."""
        return self.same_as(Stand())


@dataclass(frozen=True)
class Configuration:
    """agent.json; `peers` are names by address, `poll` is in seconds."""

    machine: str
    address: str
    port: int
    poll: int
    peers: Mapping[str, str]


def pack(word: Word, stand: Stand) -> bytes:
    """A datagram of 29 bytes."""
    return _MESSAGE.pack(_MAGIC, word, stand.sequence, stand.digest)


def unpack(data: bytes) -> tuple[Word, Stand] | None:
    """What a datagram says; None when it is not one of ours."""
    if len(data) != _MESSAGE.size:
        return None
    magic, word, sequence, digest = _MESSAGE.unpack(data)
    if magic != _MAGIC or word not in tuple(Word):
        return None
    return Word(word), Stand(sequence, digest)


def configuration(disk: Disk) -> Configuration | None:
    """Who this machine talks to; None while it is not enrolled. HentouError when the file cannot be read."""
    data = disk.read_or_none(CONFIGURATION)
    if data is None:
        return None
    try:
        record: dict[str, Any] = json.loads(data)
        peers = {str(peer["address"]): str(peer["name"]) for peer in record["peers"]}
        numbers = (int(record["port"]), max(1, int(record["poll"])))
        return Configuration(str(record["machine"]), str(record["address"]), *numbers, peers)
    except _BROKEN as broken:
        raise HentouError(f"{CONFIGURATION} cannot be read: {broken!r}", "run `hentou converge` on it") from broken


def stand(disk: Disk) -> Stand:
    """What the last sync left; the stand of a machine that has nothing where none ran, or its file is damaged."""
    try:
        record: dict[str, Any] = json.loads(disk.read_or_none(DIGEST) or b"{}")
        digest = bytes.fromhex(record.get("digest", ""))
        found = Stand(int(record.get("sequence", 0)), digest or bytes(16), float(record.get("again", 0)))
    except _BROKEN:
        return Stand()
    return found if len(digest) == 16 and 0 <= found.sequence < 2**64 else Stand()


def digest(disk: Disk) -> bytes:
    """What this machine tells its peers, as a datagram."""
    return pack(Word.TELL, stand(disk))


def refresh(host: Host, store: GitStore, again: float = 0.0) -> bool:
    """Write down what this machine has now, from its trust and the journals in `store`; whether that has changed.

    Called at the end of a sync, and after an own entry was written to the journal. `again` is in how many seconds a
    sync is wanted even if no news comes; 0 for none.
    """
    trust, members = _json(host.disk, _TRUST), _json(host.disk, _MEMBERS)
    lines = [str(trust.get("statement", "")), *_journals(store, members.get("journals", {}))]
    sequence = int(trust.get("sequence", 0))
    found = Stand(sequence, sha256("\n".join(lines).encode()).digest()[:16] if trust else bytes(16))
    before = stand(host.disk)
    due = round(host.now().timestamp() + again, 1) if again else 0.0
    if not found.same_as(before) or due != before.again or host.disk.stat(DIGEST) is None:
        record = {"sequence": found.sequence, "digest": found.digest.hex(), "again": due}
        host.disk.write(DIGEST, json.dumps(record).encode(), 0o600)
    return not found.same_as(before)


def _journals(store: GitStore, members: Mapping[str, str]) -> list[str]:
    """One line for each member's journal that is here.

    Others' may be kept here and not there: who was struck out before a machine came is unknown to it. A frozen
    journal, of which machines keep different ends, says only that it is frozen.
    """
    from hentou.trust import journal  # noqa: PLC0415 - not needed by the resident agent

    tips, forks = store.refs(_JOURNALS), store.refs(_FORKS)
    lines = []
    for machine, key in sorted(members.items()):
        ref = journal.ref(machine, key)
        frozen = any(name.startswith(ref.replace(_JOURNALS, _FORKS, 1) + "/") for name in forks)
        if frozen or ref in tips:
            lines.append(f"{machine} {'frozen' if frozen else tips[ref]}")
    return lines


def _json(disk: Disk, path: str) -> dict[str, Any]:
    try:
        found = json.loads(disk.read_or_none(path) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def send(host: Host) -> int:
    """Tell every peer at once how far this machine is; to how many it was sent. Nobody hears of it while not enrolled.

    Called after `refresh` when that said that something changed.
    """
    known = configuration(host.disk)
    if known is None:
        return 0
    try:
        channel = Datagrams(known.address, 0)
    except OSError:
        return 0
    message = digest(host.disk)
    sent = sum(channel.send(address, known.port, message) for address in known.peers)
    channel.close()
    return sent
