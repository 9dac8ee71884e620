"""Entries that wait to be written to this machine's journal: in files, each replaced as a whole and durable.

/var/lib/hentou/outbox/NUMBER.json (root, 0600): what is to be told together, in order. Nothing is lost or told twice
by a power cut: a file goes only when all its entries are in the journal, and those that are there are recognised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hentou.agent.store import BASE
from hentou.effects.disk import Disk
from hentou.errors import HentouError
from hentou.trust.journal import Entry, Kind, Standing

OUTBOX = f"{BASE}/outbox"
MOST = 500
"""Files that may wait: a year without any peer, at a few a week, or somebody who logs without end."""


@dataclass(frozen=True)
class Draft:
    """An entry without its number, as in `trust.journal.Entry`."""

    kind: Kind
    text: str
    at: str
    standing: Standing
    about: str = ""
    person: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from every other entry of the machine."""
        return identity(self)

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Draft:
        """From its record in a file."""
        known = {**record, "kind": Kind(record["kind"]), "standing": Standing.parse(record["standing"])}
        return cls(**known)


def identity(found: Draft | Entry) -> tuple[str, ...]:
    """What tells an entry from every other of its machine: when, what, and who said it of whom."""
    return found.at, str(found.kind), found.text, found.about, found.person


def put(disk: Disk, drafts: Sequence[Draft]) -> None:
    """Keep entries that belong together, durably; HentouError when too many wait already."""
    disk.make_directory(OUTBOX)
    disk.attributes(OUTBOX, 0o700, 0, 0)
    waiting = _names(disk)
    if len(waiting) >= MOST:
        raise HentouError(
            f"{len(waiting)} entries wait to be written to the journal",
            "bring this machine online: it must hear of its own journal from a peer first",
        )
    number = int(waiting[-1].removesuffix(".json")) + 1 if waiting else 1
    records = [{**asdict(draft), "standing": draft.standing.record} for draft in drafts]
    data = json.dumps(records, ensure_ascii=False, indent=1).encode()
    disk.replace(f"{OUTBOX}/{number:08}.json", data, 0o600)
    disk.flush()


def waiting(disk: Disk) -> Iterator[tuple[str, list[Draft]]]:
    """Every file with its entries, oldest first. One that is damaged has none."""
    for name in _names(disk):
        path = f"{OUTBOX}/{name}"
        try:
            yield path, [Draft.parse(record) for record in json.loads(disk.read(path))]
        except (ValueError, KeyError, TypeError, AttributeError):
            yield path, []


def last(disk: Disk) -> Draft | None:
    """The newest entry that waits; None when none does."""
    found = [draft for _, drafts in waiting(disk) for draft in drafts]
    return found[-1] if found else None


def _names(disk: Disk) -> list[str]:
    return [name for name in disk.names(OUTBOX) if name.endswith(".json") and name[:-5].isdigit()]
