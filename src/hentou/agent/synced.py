"""What a machine remembers of its syncs, in one small file: what it refused, what it accepted, what failed.

/var/lib/hentou/sync.json (root, 0600), replaced as a whole, and only when it changes:

    {"refused":  {"why": WHY, "message": TEXT, "from": SOURCE, "at": TIME}   the last refusal; {} for none
     "accepted": [{"sequence": N, "head": COMMIT, "at": TIME}, …]            the newest 50, oldest first
     "failed":   {COMMIT: REASON}                                            heads that could not be activated
     "waiting":  {PERSON: WHY}}                                              proposals that miss signatures

WHY is a `trust.acceptance.Why`; SOURCE is `inbox PERSON` or `peer MACHINE`; TIME is ISO 8601 in UTC.
A refusal goes when its source gives something good again. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hentou.agent.store import BASE
from hentou.effects.disk import Disk

FILE = f"{BASE}/sync.json"
KEPT_STEPS = 50
KEPT_FAILURES = 20


@dataclass(frozen=True)
class Step:
    """One accepted step; `at` is when this machine accepted it."""

    sequence: int
    head: str
    at: str


@dataclass(frozen=True)
class Synced:
    """The file's content; `refused` as it stands in the file."""

    refused: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[Step, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> bytes:
        """For the file."""
        return (json.dumps(asdict(self), indent=1, sort_keys=False, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Synced:
        """From the file; ValueError when it is something else."""
        record: Any = json.loads(data)
        try:
            steps = tuple(Step(**item) for item in record["accepted"])
            return cls(dict(record["refused"]), steps, dict(record["failed"]), dict(record.get("waiting", {})))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no record of syncs: {error}") from error


class Memory:
    """The file, read once and written when it changes. The caller holds the lock of syncs."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._now = load(disk)

    @property
    def synced(self) -> Synced:
        """What is remembered."""
        return self._now

    def refuse(self, why: str, message: str, source: str, at: str) -> None:
        """Remember a refusal; the same one again, from the same source, changes nothing."""
        before = self._now.refused
        if (before.get("why"), before.get("from")) != (why, source):
            refused = {"why": why, "message": message, "from": source, "at": at}
            self._save(replace(self._now, refused=refused))

    def well(self, source: str) -> None:
        """Nothing that this source gave was refused."""
        if self._now.refused.get("from") == source:
            self._save(replace(self._now, refused={}))

    def accept(self, steps: Iterable[Step]) -> None:
        """Remember accepted steps; those known already change nothing."""
        last = self._now.accepted[-1].sequence if self._now.accepted else 0
        new = tuple(step for step in steps if step.sequence > last)
        if new:
            self._save(replace(self._now, accepted=(*self._now.accepted, *new)[-KEPT_STEPS:]))

    def fail(self, commit: str, reason: str) -> None:
        """Remember that a head could not be activated, and why."""
        others = [(known, said) for known, said in self._now.failed.items() if known != commit]
        self._save(replace(self._now, failed=dict([*others, (commit, reason)][-KEPT_FAILURES:])))

    def forgive(self, commit: str) -> None:
        """A head became active after all."""
        if commit in self._now.failed:
            failed = {known: why for known, why in self._now.failed.items() if known != commit}
            self._save(replace(self._now, failed=failed))

    def wait(self, proposals: Mapping[str, str]) -> None:
        """Remember which proposals of the inbox miss signatures; those known before and not among them are gone."""
        self._save(replace(self._now, waiting=dict(proposals)))

    def forget(self) -> None:
        """Begin anew: another collective was pinned."""
        self._save(Synced())

    def _save(self, new: Synced) -> None:
        if new != self._now:
            self._disk.replace(FILE, new.json, 0o600)
            self._now = new


def load(disk: Disk) -> Synced:
    """What is remembered; nothing where the file is missing or damaged: it decides nothing about trust."""
    try:
        return Synced.parse(disk.read_or_none(FILE) or b"null")
    except ValueError:
        return Synced()
