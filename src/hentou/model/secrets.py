"""Who may read a secret, for whom it was ever encrypted, and which secrets somebody knows who should not any more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from hentou.errors import HentouError
from hentou.model.types import Keys, Person, Roster, Secret

FOLDER = "secrets"
HEADER = b"age-encryption.org/v1\n"
"""The first line of every file of the age format, version 1."""

PLACE = "/run/hentou/secrets"
"""Where machines put secrets that name no path: a directory in memory."""

USABLE = ("ssh-ed25519", "ssh-rsa")
"""Types of SSH keys that age can encrypt for. Keys in hardware only sign, and age knows no ECDSA."""

NOTE = re.compile(r"(admin|machine) ([a-z0-9-]+) ([0-9a-f]{16})")
"""An entry of `read_by`: who, and the first digits of the SHA-256 of their public key."""

AUTHORITY = "authority"
"""The secret that holds the key of the collective's certificate authority: it belongs to a certificate."""

_GENERATORS: Mapping[str, tuple[int, int]] = {
    "password": (12, 200),
    "passphrase": (4, 30),
    "hex": (8, 512),
    "base64": (8, 512),
    "ssh-ed25519": (0, 0),
    "age": (0, 0),
    "wireguard": (0, 0),
}
"""Generators, with the least and the most of what each counts: characters, words, or bytes."""


class Known(Protocol):
    """What tells who may read: a `Collective`, or a `Draft` of one."""

    @property
    def roster(self) -> Roster | None:
        """The admins, with their SSH keys."""

    @property
    def people(self) -> Mapping[str, Person]:
        """Everybody, with their age keys."""

    @property
    def keys(self) -> Mapping[str, Keys]:
        """Enrolled machines, with their age keys."""

    @property
    def secrets(self) -> Mapping[str, Secret]:
        """Secrets by name."""


@dataclass(frozen=True, slots=True, order=True)
class Reader:
    """One key that a secret is encrypted for: of an `admin` or a `machine`."""

    kind: str
    name: str
    key: str

    @property
    def note(self) -> str:
        """The reader as `read_by` keeps it: it tells a key from the one that replaced it."""
        return f"{self.kind} {self.name} {fingerprint(self.key)}"


@dataclass(frozen=True, slots=True, order=True)
class Stale:
    """A secret whose present value `who` could read, and may not any more: it is to be rotated. `why` says since."""

    secret: str
    who: str
    why: str

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.secret}: {self.who} {self.why}"


def yaml_file(name: str) -> str:
    """The file that says who may read a secret."""
    return f"{FOLDER}/{name}.yaml"


def value_file(name: str) -> str:
    """The file that holds a secret, encrypted."""
    return f"{FOLDER}/{name}.age"


def place(secret: Secret) -> str:
    """Where machines put a secret."""
    return secret.path or f"{PLACE}/{secret.name}"


def fingerprint(key: str) -> str:
    """The first sixteen digits of the SHA-256 of a public key, without its comment."""
    return sha256(" ".join(key.split()[:2]).encode()).hexdigest()[:16]


def admins(known: Known, secret: Secret) -> tuple[str, ...]:
    """The admins who may read a secret, in the order of names."""
    roster = known.roster.admins if known.roster else {}
    return tuple(sorted(roster if secret.admins is None else roster.keys() & set(secret.admins)))


def keys_of(known: Known, admin: str) -> tuple[str, ...]:
    """The public keys that an admin's secrets are encrypted for: age keys if any, else SSH keys that age can use."""
    person = known.people.get(admin)
    if person and person.age:
        return person.age
    ssh = known.roster.admins.get(admin, ()) if known.roster else ()
    return tuple(key for key in ssh if key.split()[0] in USABLE)


def readers(known: Known, secret: Secret) -> tuple[Reader, ...]:
    """Every key that a secret should be encrypted for. Machines that are not enrolled have none, and no right."""
    people = (Reader("admin", name, key) for name in admins(known, secret) for key in keys_of(known, name))
    machines = (
        Reader("machine", name, age) for name in secret.machines if name in known.keys and (age := known.keys[name].age)
    )
    return tuple(sorted({*people, *machines}))


def missing(known: Known, secret: Secret) -> tuple[Reader, ...]:
    """Who may read a secret, but it was not encrypted for them yet."""
    return tuple(reader for reader in readers(known, secret) if reader.note not in secret.read_by)


def departed(known: Known, secret: Secret) -> tuple[str, ...]:
    """Entries of `read_by` that may not read any more. Another key that its reader still has is no departure."""
    present = {reader.note for reader in readers(known, secret)}
    present |= {Reader("admin", name, key).note for name in admins(known, secret) for key in _all_keys(known, name)}
    return tuple(note for note in secret.read_by if note not in present)


def _all_keys(known: Known, admin: str) -> tuple[str, ...]:
    person, roster = known.people.get(admin), known.roster
    return (*(person.age if person else ()), *(roster.admins.get(admin, ()) if roster else ()))


def stale(known: Known) -> tuple[Stale, ...]:
    """Every secret that somebody could read who may not any more, with who and why, in the order of secrets."""
    return tuple(sorted({_stale(known, s, note) for s in known.secrets.values() for note in departed(known, s)}))


def _stale(known: Known, secret: Secret, note: str) -> Stale:
    kind, name, *_ = [*note.split(), ""]
    if kind == "admin":
        here = known.roster is not None and name in known.roster.admins
        right = secret.admins is None or name in secret.admins
        gone = "left the roster"
    else:
        here, right = name in known.keys, name in secret.machines
        gone = "was struck out"
    why = gone if not here else "lost the right to it" if not right else "had another key then"
    return Stale(secret.name, f"{kind} {name}".strip(), why)


def remedy(names: Iterable[str]) -> tuple[str, ...]:
    """What is to be done about secrets that are stale, one action a line; nothing for none."""
    found = set(names)
    lines = ["`hentou secret rotate --all-stale`"] if found - {AUTHORITY} else []
    if AUTHORITY in found:
        lines.append(f"{AUTHORITY}: only a new one, of which every browser is told: docs/how-to/keep-a-secret.md")
    return tuple(lines)


def generator(text: str) -> tuple[str, int]:
    """A generator's kind and count, from `password 24`; HentouError when it is none."""
    kind, _, number = text.partition(" ")
    if kind not in _GENERATORS:
        known = ", ".join(f"{name} N" if most else name for name, (_, most) in _GENERATORS.items())
        raise HentouError(f"no generator is called {kind!r}", f"there are: {known}")
    least, most = _GENERATORS[kind]
    if not most:
        if number:
            raise HentouError(f"{kind} takes no number", f"write `{kind}` alone")
        return kind, 0
    count = int(number) if re.fullmatch("[0-9]{1,4}", number) else -1
    if not least <= count <= most:
        raise HentouError(f"{text!r} is no length for {kind}", f"write {kind} with a number from {least} to {most}")
    return kind, count


def by_note(notes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Kind and name of each entry of `read_by`, once each, in order."""
    yield from dict.fromkeys((found[1], found[2]) for note in notes if (found := NOTE.fullmatch(note)))


def on_machine(known: Known, machine: str) -> tuple[Secret, ...]:
    """The secrets that an enrolled machine gets, in the order of names."""
    return tuple(
        secret
        for _, secret in sorted(known.secrets.items())
        if any((reader.kind, reader.name) == ("machine", machine) for reader in readers(known, secret))
    )
