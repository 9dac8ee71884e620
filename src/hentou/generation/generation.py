"""A generation: everything one machine should hold, immutable, named by the hash of its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from hentou.generation.fragment import Certificate, Check, CheckKind, Directory, OnChange, Unit, User
from hentou.model.types import Pointer

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or symbolic link of a generation, without the file's bytes."""

    path: str
    by: str
    because: tuple[Pointer, ...]
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    digest: str = ""
    size: int = 0
    target: str = ""
    copied_from: str | None = None

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return bool(self.target)

    @property
    def says(self) -> str:
        """What it puts there, short enough to be remembered: the digest, or where the link leads."""
        return f"→ {self.target}" if self.is_link else self.digest

    def same_as(self, other: Entry) -> bool:
        """Whether both put the same thing on disk, whoever asked for it."""
        return (self.mode, self.owner, self.group, self.digest, self.target) == (
            other.mode, other.owner, other.group, other.digest, other.target,
        )  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What a generation holds, file contents by their digests; enough to plan and to undo."""

    machine: str
    packages: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    entries: tuple[Entry, ...] = ()
    units: tuple[Unit, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    checks: tuple[Check, ...] = ()
    health_timeout: int = 30
    peers: tuple[str, ...] = ()

    @cached_property
    def by_path(self) -> Mapping[str, Entry]:
        """Entries by path."""
        return {entry.path: entry for entry in self.entries}

    @cached_property
    def json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, UTF-8, one line feed at the end."""
        record = {"format": FORMAT, **_fields_of(self)}
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_fields_of)
        return f"{text}\n".encode()

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal; people see the first twelve digits."""
        return sha256(self.json).hexdigest()

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """A manifest from its JSON."""
        record = json.loads(data)
        if record.pop("format") != FORMAT:
            raise ValueError("a manifest of another format")
        return cls(
            machine=record["machine"],
            packages=tuple(record["packages"]),
            users=tuple(User(**_with_tuples(item)) for item in record["users"]),
            directories=tuple(Directory(**_with_tuples(item)) for item in record["directories"]),
            entries=tuple(Entry(**_with_tuples(item)) for item in record["entries"]),
            units=tuple(
                Unit(**{**_with_tuples(item), "on_change": OnChange(item["on_change"])}) for item in record["units"]
            ),
            certificates=tuple(Certificate(**_with_tuples(item)) for item in record["certificates"]),
            checks=tuple(Check(**{**_with_tuples(item), "kind": CheckKind(item["kind"])}) for item in record["checks"]),
            health_timeout=record["health_timeout"],
            peers=tuple(record["peers"]),
        )


def _fields_of(thing: Any) -> dict[str, Any]:
    """One level of a dataclass: `asdict`, which copies whatever is below, took half of a compile's time."""
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}


def _with_tuples(item: dict[str, Any]) -> dict[str, Any]:
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    fields["because"] = tuple(Pointer(p["file"], tuple(p["keys"])) for p in item["because"])
    return fields


@dataclass(frozen=True)
class Generation:
    """A manifest with the bytes of its files, by digest."""

    manifest: Manifest
    contents: Mapping[str, bytes]

    @property
    def id(self) -> str:
        """The manifest's hash."""
        return self.manifest.id
