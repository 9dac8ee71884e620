"""One machine's journal: what an entry is, what follows from two of them, and what a machine stands at.

A journal is a chain of Git commits without files, one an entry: the message is the entry, canonical JSON; the one
parent is the entry before; the SSH signature is Git's own (`gpg.format=ssh`), so that `git log --show-signature`
reads it too. The tip's signature covers the whole chain by its hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from hashlib import sha256
from typing import Any

from hentou.errors import HentouError
from hentou.trust.canonical import NotCanonicalError, decode, encode
from hentou.trust.roster import fingerprint

FORMAT = "hentou journal 1"
NAMESPACE = "git"
"""Git signs commits under this name; a machine's journal key signs nothing else."""

LONGEST = 65536
"""Bytes of one entry."""

REFS = "refs/hentou/journals"
FORKS = "refs/hentou/forks"
"""Under the name of a journal as under `REFS`: `ours` and `theirs`, two tips that cannot both be true."""

_NUMBER = 2**53


class Kind(StrEnum):
    """What an entry tells."""

    ENROLLED = "enrolled"
    ACTIVATED = "activated"
    UNDONE = "undone"
    QUARANTINED = "quarantined"
    HELD = "held"
    REFUSED = "refused"
    DETACHED = "detached"
    ATTACHED = "attached"
    CHANGELOG = "changelog"
    ALARM = "alarm"
    REPORT = "report"
    UNKNOWN = "unknown"
    """Of a kind that only a newer hentou knows: its text still speaks for it."""


@dataclass(frozen=True)
class Standing:
    """Where a machine stands by its own word: small enough to be repeated in every entry, so that the newest one
    tells all that `hentou status` shows. Times are ISO 8601 in UTC.

    `sequence` and `head` are what it has accepted, `active` the commit whose generation runs since `since`.
    `failed` tells why commits (or generations that came from none) are quarantined, `undone` which of them was undone
    last, `held` which files were edited by hand, `refused` what came last that was not accepted, `alarms` what
    somebody must look at. `detached` is empty while attached, else says `by`, `why`, `since` and perhaps `until`.
    """

    sequence: int = 0
    head: str = ""
    epoch: int = 0
    active: str = ""
    active_sequence: int = 0
    generation: str = ""
    since: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    undone: str = ""
    held: tuple[str, ...] = ()
    refused: str = ""
    detached: Mapping[str, str] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """For JSON; what is empty is left out."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items() if value
        }

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Standing:
        """From a record; fields that a newer hentou may write are ignored. ValueError when it is none."""
        plain = cls()
        if not isinstance(record, Mapping):
            raise ValueError("no standing: no mapping")  # noqa: TRY004 - what `parse` promises
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        found = cls(**{name: _plain(value) for name, value in known.items()})
        if any(type(getattr(found, name)) is not type(getattr(plain, name)) for name in known):
            raise ValueError("no standing: a field of the wrong type")
        return found


@dataclass(frozen=True)
class Entry:
    """One entry. `sequence` counts from 1 in the journal of one key; `text` says it to people in a line.

    `about` is the machine that it is about, `person` who said it; `data` what belongs to its kind.
    """

    machine: str
    sequence: int
    at: str
    kind: Kind
    text: str
    standing: Standing = field(default_factory=Standing)
    about: str = ""
    person: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def json(self) -> bytes:
        """The canonical bytes."""
        record = {
            "format": FORMAT, "machine": self.machine, "sequence": self.sequence, "at": self.at,
            "kind": str(self.kind), "text": self.text, "standing": self.standing.record,
        }  # fmt: skip
        more = {"about": self.about, "person": self.person, "data": dict(self.data)}
        return encode(record | {name: value for name, value in more.items() if value})

    @classmethod
    def parse(cls, data: bytes) -> Entry:
        """An entry from its bytes; BadEntryError when they are those of none.

        Kinds and fields that a newer hentou may write are no fault: a machine that was updated first is still heard.
        """
        try:
            record = decode(data, LONGEST)
            if record.pop("format", None) != FORMAT:
                raise BadEntryError(f"an entry of another format than {FORMAT!r}", "update hentou on this machine")
            standing, kind = Standing.parse(record.pop("standing")), _kind(record.pop("kind"))
            known = {name: value for name, value in record.items() if name in _FIELDS}
            found = cls(**known, standing=standing, kind=kind)
        except NotCanonicalError as error:
            raise BadEntryError(f"an entry that cannot be read: {error.message}") from error
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BadEntryError("an entry with missing or wrong fields") from error
        if not found._is_sound():
            raise BadEntryError("an entry with missing or wrong fields")
        return found

    def _is_sound(self) -> bool:
        texts = (self.machine, self.at, self.text, self.about, self.person)
        counted = type(self.sequence) is int and 1 <= self.sequence < _NUMBER
        return counted and all(isinstance(text, str) for text in texts) and isinstance(self.data, dict)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): str(item) for name, item in value.items()}
    return tuple(map(str, value)) if isinstance(value, list) else value


def _kind(name: str) -> Kind:
    if not isinstance(name, str):
        raise TypeError("a kind that is no text")
    return Kind(name) if name in Kind.__members__.values() else Kind.UNKNOWN


_FIELDS = frozenset(item.name for item in fields(Entry))


class BadEntryError(HentouError):
    """Bytes that are no entry of a journal, or a commit that is none."""


def key_id(key: str) -> str:
    """Sixteen hexadecimal digits for a journal's key: the end of its ref's name."""
    return sha256(fingerprint(key).encode()).hexdigest()[:16]


def ref(machine: str, key: str) -> str:
    """Where a journal is: a machine that gets a new key begins a new one, and the old one stays to be read."""
    return f"{REFS}/{machine}/{key_id(key)}"


@dataclass(frozen=True)
class SignedCommit:
    """A commit taken apart: what its signature covers, the signature, its parents and its message."""

    payload: bytes
    signature: str
    parents: tuple[str, ...]
    tree: str
    message: bytes


_EMPTY_TREES = (
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
)
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def take_apart(commit: bytes) -> SignedCommit:
    """A signed commit's parts, from what `git cat-file commit` prints; BadEntryError when it is not one.

    The signature is in the header `gpgsig` (`gpgsig-sha256` in repositories of SHA-256), its further lines indented;
    what it covers is the commit without that header.
    """
    header, gap, message = commit.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in header.split(b"\n"):
        if line.startswith((b"gpgsig ", b"gpgsig-sha256 ")) and not signature:
            inside = True
            signature.append(line.partition(b" ")[2])
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            inside = False
            kept.append(line)
    fields = [line.decode(errors="replace").partition(" ") for line in kept]
    parents = tuple(value for name, _, value in fields if name == "parent")
    trees = [value for name, _, value in fields if name == "tree"]
    if not gap or len(trees) != 1 or not all(map(_HASH.fullmatch, parents)):
        raise BadEntryError("an object that is no commit")
    text = b"\n".join(signature).decode(errors="replace") + "\n" if signature else ""
    return SignedCommit(b"\n".join(kept) + b"\n\n" + message, text, parents, trees[0], message)


def entry_of(commit: SignedCommit, machine: str) -> Entry:
    """The entry that a commit of one machine's journal holds; BadEntryError when the commit cannot be in it.

    The signature is not looked at: that is for `effects.sshsig`, once for the tip of a chain.
    """
    if commit.tree not in _EMPTY_TREES:
        raise BadEntryError("an entry with files")
    entry = Entry.parse(commit.message.rstrip(b"\n"))
    if entry.machine != machine:
        raise BadEntryError(f"an entry of {entry.machine} in the journal of {machine}")
    if len(commit.parents) != (0 if entry.sequence == 1 else 1):
        raise BadEntryError(f"entry {entry.sequence} with {len(commit.parents)} entries before it")
    return entry


Event = tuple[Kind, str, dict[str, Any]]
"""What happened: its kind, a line for people, and data."""


def events(before: Standing, now: Standing) -> list[Event]:
    """What happened between two standings, in the order in which it is to be told; nothing when they are equal.

    Journals are written by difference, so that a power cut between a deed and its entry loses no entry.
    """
    found = [*_activations(before, now), *_failures(before, now), *_holds(before, now)]
    if now.refused and now.refused != before.refused:
        found.append((Kind.REFUSED, now.refused, {}))
    found += [(Kind.ALARM, alarm, {}) for alarm in now.alarms if alarm not in before.alarms]
    if not found and now != before:
        found.append((Kind.REPORT, _other(before, now), {}))
    return found


def step(sequence: int, commit: str) -> str:
    """How a step is called: by its number, where that is known, and the start of its commit."""
    return f"step {sequence} ({commit[:12]})" if sequence else f"commit {commit[:12]}"


def _activations(before: Standing, now: Standing) -> Iterator[Event]:
    if now.generation and (now.generation, now.active) != (before.generation, before.active):
        back = 0 < now.active_sequence < before.active_sequence
        what = step(now.active_sequence, now.active) if now.active else f"generation {now.generation[:12]}"
        data = {"commit": now.active, "sequence": now.active_sequence, "generation": now.generation}
        yield Kind.ACTIVATED, f"{'went back to' if back else 'activated'} {what}", data


def _failures(before: Standing, now: Standing) -> Iterator[Event]:
    if now.undone and now.undone != before.undone:
        why = now.failed.get(now.undone, "")
        yield Kind.UNDONE, f"undone: {now.undone[:12]}{why and f': {why}'}", {"id": now.undone}
    for name, why in now.failed.items():
        if name not in before.failed:
            yield Kind.QUARANTINED, f"{name[:12]} is not tried again: {why}", {"id": name}


def _holds(before: Standing, now: Standing) -> Iterator[Event]:
    if now.held and now.held != before.held:
        yield Kind.HELD, f"held by hand edits of {', '.join(now.held)}", {"paths": list(now.held)}
    if now.detached and now.detached != before.detached:
        yield Kind.DETACHED, f"detached {detachment(now.detached)}", dict(now.detached)
    if before.detached and not now.detached:
        yield Kind.ATTACHED, "follows the collective again", {}


def detachment(found: Mapping[str, str]) -> str:
    """By whom a machine is detached, why and until when, in words."""
    until = f", until {found['until']}" if found.get("until") else ""
    return f"by {found.get('by') or 'somebody'}: {found.get('why') or 'no reason given'}{until}"


def _other(before: Standing, now: Standing) -> str:
    if now.head != before.head:
        return f"accepted {step(now.sequence, now.head)}"
    if now.down != before.down:
        return f"down: {', '.join(now.down)}" if now.down else "every unit is up again"
    if before.held and not now.held:
        return "no hand edits any more"
    over = [alarm for alarm in before.alarms if alarm not in now.alarms]
    return f"over: {'; '.join(over)}" if over else "stands as told here"


def printable(text: str, longest: int = 2000) -> str:
    """A text as it may reach a terminal: one line, bounded, and without characters that steer one or hide what is said.

    Journals are other machines' words: a stolen one may write what it likes.
    """
    shown = "".join(" " if char.isspace() else char if char.isprintable() else "\ufffd" for char in text[: longest + 1])
    return shown if len(text) <= longest else shown[: longest - 1] + "…"
