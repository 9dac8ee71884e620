"""One machine's journal: what an entry is, what follows from two of them, and what a machine stands at.

A journal is a chain of Git commits without files, one an entry: the message is the entry, canonical JSON; the one
parent is the entry before; the SSH signature is Git's own (`gpg.format=ssh`), so that `git log --show-signature`
reads it too. The tip's signature covers the whole chain by its hashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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


@dataclass(frozen=True)
class Standing:
    """Where a machine stands by its own word: small enough to be repeated in every entry, so that the newest one
    tells all that `hentou status` shows. Times are ISO 8601 in UTC.

    `sequence` and `head` are what it has accepted, `active` the commit whose generation runs since `since`.
    `failed` tells why commits or generations are quarantined, `held` which files were edited by hand, `refused` what
    came last that was not accepted, `alarms` what somebody must look at. `detached` is empty while attached, else
    says `by`, `why`, `since` and perhaps `until`.
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
        known = {name: record[name] for name in asdict(plain) if name in record}
        values: dict[str, Any] = {
            name: tuple(map(str, value)) if isinstance(value, list) else value for name, value in known.items()
        }
        found = cls(**values)
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
        """An entry from its bytes; BadEntryError when they are those of none."""
        try:
            record = decode(data, LONGEST)
            if record.pop("format", None) != FORMAT:
                raise BadEntryError(f"an entry of another format than {FORMAT!r}", "update hentou on this machine")
            standing, kind = Standing.parse(record.pop("standing")), _kind(record.pop("kind"))
            found = cls(**record, standing=standing, kind=kind)
        except NotCanonicalError as error:
            raise BadEntryError(f"an entry that cannot be read: {error.message}") from error
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BadEntryError("an entry with missing, unknown or wrong fields") from error
        texts = (found.machine, found.at, found.text, found.about, found.person)
        if not all(isinstance(text, str) for text in texts) or type(found.sequence) is not int or found.sequence < 1:
            raise BadEntryError("an entry with missing, unknown or wrong fields")
        return found


def _kind(name: str) -> Kind:
    return Kind(name)


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
