"""Whether a machine accepts a statement: the one place that decides whom a machine obeys.

Pure: signatures were checked by OpenSSH before, ancestry by git; here is what follows from both. The order matters:
nothing of a statement counts before somebody whom the machine trusts has signed it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hentou.errors import HentouError
from hentou.trust.roster import Roster
from hentou.trust.statement import REF, Statement

FORMAT = "hentou trust 1"


class Why(StrEnum):
    """Why a statement is refused; `WAITING` is no fault but a signature that is still missing."""

    MALFORMED = "malformed"
    UNSIGNED = "unsigned"
    STRANGER = "stranger"
    WAITING = "waiting"
    ANOTHER_COLLECTIVE = "another-collective"
    ANOTHER_REF = "another-ref"
    REPLAYED = "replayed"
    SKIPPED = "skipped"
    FORKED = "forked"
    EPOCH = "epoch"
    NOT_DESCENDING = "not-descending"
    ROSTER = "roster"
    UNFETCHED = "unfetched"


class RefusedError(HentouError):
    """A statement that is not accepted, and why."""

    def __init__(self, why: Why, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.why = why


@dataclass(frozen=True)
class Trust:
    """What one machine (or one admin's laptop) has accepted so far. It only ever moves on.

    `sequence` 0, with an empty `statement` and `head`, is a repository whose first statement is still to come.
    """

    repository: str
    sequence: int
    statement: str
    head: str
    roster: Roster

    @property
    def json(self) -> bytes:
        """For a file."""
        record = {
            "format": FORMAT,
            "repository": self.repository,
            "sequence": self.sequence,
            "statement": self.statement,
            "head": self.head,
            "roster": self.roster.record,
        }
        return (json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Trust:
        """What `json` wrote; ValueError when it is something else."""
        record: Any = json.loads(data)
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise ValueError("no trust of this format")
        try:
            found = cls(**{**record, "roster": Roster.parse(record["roster"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"no trust: {error}") from error
        if fault := found._fault():
            raise ValueError(f"no trust: {fault}")
        return found

    def _fault(self) -> str:
        """Why nothing could be judged by this; empty when it could. A file that was damaged must not open a door."""
        texts = (self.repository, self.statement, self.head)
        if not all(isinstance(text, str) for text in texts) or type(self.sequence) is not int or self.sequence < 0:
            return "a field of the wrong type"
        if bool(self.sequence) != bool(self.statement) or bool(self.sequence) != bool(self.head):
            return "a sequence without its statement and head, or these without a sequence"
        return self.roster.fault


@dataclass(frozen=True)
class Signed:
    """A statement with the fingerprints of the keys whose signatures over its bytes OpenSSH found good."""

    statement: Statement
    keys: frozenset[str]


@dataclass(frozen=True)
class Head:
    """What git found about a statement's head: whether it is the accepted head or descends from it (true while there
    is none), and its roster.yaml.
    """

    descends: bool
    roster: Roster


def examine(trust: Trust, signed: Signed) -> None:
    """Judge a statement before its head is fetched; RefusedError when it cannot be the next one."""
    statement = signed.statement
    _known_signers(trust, signed)
    if statement.repository != trust.repository:
        raise RefusedError(Why.ANOTHER_COLLECTIVE, "a statement for another collective's repository")
    if statement.ref != REF:
        raise RefusedError(Why.ANOTHER_REF, f"a statement for {statement.ref[:100]!r}, not for {REF}")
    _next(trust, statement)
    if statement.epoch not in (trust.roster.epoch, trust.roster.epoch + 1):
        raise RefusedError(
            Why.EPOCH, f"a statement for epoch {statement.epoch} of the roster, where {trust.roster.epoch} is trusted"
        )
    _enough(trust, signed)


def _known_signers(trust: Trust, signed: Signed) -> None:
    if not signed.keys:
        raise RefusedError(Why.UNSIGNED, "nobody signed it", "publish with `hentou publish`, which signs")
    if not trust.roster.signers(signed.keys):
        keys = ", ".join(sorted(signed.keys)[:3]) + (" and others" if len(signed.keys) > 3 else "")
        raise RefusedError(Why.STRANGER, f"nobody of the trusted roster signed it, only {keys}")


def _next(trust: Trust, statement: Statement) -> None:
    step = f"step {statement.sequence}, where {trust.sequence} is accepted"
    if statement.sequence == trust.sequence and statement.digest != trust.statement:
        raise RefusedError(
            Why.FORKED, f"another {step}: two statements were signed for it", "an admin joins them: `hentou publish`"
        )
    if statement.sequence <= trust.sequence:
        raise RefusedError(Why.REPLAYED, f"an old statement: {step}")
    if statement.sequence > trust.sequence + 1:
        raise RefusedError(Why.SKIPPED, f"{step}: the steps between are missing")
    if trust.sequence and trust.statement not in statement.previous:
        raise RefusedError(Why.FORKED, f"{step}, but it continues another one", "an admin joins them: `hentou publish`")


def _enough(trust: Trust, signed: Signed) -> None:
    roster = trust.roster
    changes = signed.statement.epoch != roster.epoch
    needed = roster.root_threshold if changes else roster.threshold
    people = roster.signers(signed.keys)
    if len(people) < needed:
        what = "a change of the roster" if changes else "a change"
        raise RefusedError(
            Why.WAITING,
            f"signed by {', '.join(sorted(people))}: {len(people)} of the {needed} persons that {what} needs",
            "another person of the roster signs with `hentou cosign`",
        )


def accept(trust: Trust, signed: Signed, head: Head) -> Trust:
    """What is trusted once this statement is accepted; RefusedError when it is not."""
    examine(trust, signed)
    statement = signed.statement
    if not head.descends:
        raise RefusedError(
            Why.NOT_DESCENDING, f"its head {statement.head[:12]} does not descend from {trust.head[:12]}"
        )
    if head.roster != trust.roster or statement.epoch != trust.roster.epoch:
        _new_roster(trust, signed, head.roster)
    return replace(
        trust,
        sequence=statement.sequence,
        statement=statement.digest,
        head=statement.head,
        roster=head.roster,
    )


def _new_roster(trust: Trust, signed: Signed, new: Roster) -> None:
    """A change of the roster: signed by the old root threshold, which `examine` saw, and by the new threshold."""
    old, statement = trust.roster, signed.statement
    if not old.epoch <= new.epoch <= old.epoch + 1 or statement.epoch != new.epoch:
        raise RefusedError(
            Why.EPOCH,
            f"its roster.yaml says epoch {new.epoch}, the statement {statement.epoch}, and {old.epoch} is trusted",
            "`hentou roster` counts the epoch",
        )
    if new.epoch == old.epoch:
        raise RefusedError(
            Why.ROSTER,
            f"its roster.yaml differs, but is still of epoch {new.epoch}",
            "change the roster with `hentou roster`, which counts the epoch",
        )
    if new.fault:
        raise RefusedError(Why.ROSTER, f"a roster that cannot work: {new.fault}")
    people = new.signers(signed.keys)
    if len(people) < new.threshold:
        raise RefusedError(
            Why.WAITING,
            f"signed by {len(people)} of the {new.threshold} persons that the new roster needs",
            "a person of the new roster signs with `hentou cosign`",
        )
