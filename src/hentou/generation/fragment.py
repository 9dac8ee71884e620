"""What one concern wants on one machine: data only, merged with the others' into a generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from hentou.model.types import Pointer

LARGEST_FILE = 64 * 2**20
"""Bytes of one file: generations are held in memory, on machines that have little, and kept several at a time."""


@dataclass(frozen=True, slots=True)
class File:
    """A whole file that hentou owns. `copied_from`: the repository's file it copies, if any."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    because: tuple[Pointer, ...] = ()
    copied_from: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link that hentou owns."""

    path: str
    target: str
    because: tuple[Pointer, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with its owner and mode. Leaving the generation, it goes only if empty: data stays."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"
    because: tuple[Pointer, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """An account. Leaving the generation, it is locked, never deleted, so that files keep an owner's name."""

    name: str
    uid: int
    comment: str = ""
    home: str = "/nonexistent"
    shell: str = "/usr/sbin/nologin"
    groups: tuple[str, ...] = ()
    system: bool = True
    because: tuple[Pointer, ...] = ()


class OnChange(StrEnum):
    """What a running unit needs when one of its triggers changes."""

    RESTART = "restart"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit that runs here. Its file may be ours (a File beside this) or the Debian package's.

    `triggers` are paths, or prefixes ending in `/`; the unit's own file and drop-ins always count.
    `wanted_by` is the target that starts it at boot; empty when something else activates it.
    """

    name: str
    on_change: OnChange = OnChange.RESTART
    triggers: tuple[str, ...] = ()
    wanted_by: str = "multi-user.target"
    because: tuple[Pointer, ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A TLS certificate for `names` kept at `directory`/fullchain.pem and key.pem by the machine itself."""

    directory: str
    names: tuple[str, ...]
    group: str = "root"
    unit: str = ""
    because: tuple[Pointer, ...] = ()


class CheckKind(StrEnum):
    """How a health check looks."""

    UNIT = "unit"
    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Check:
    """A health check that must pass before the generation is confirmed.

    `target`: a unit's name; an URL; `host:port`; or a command line split at spaces.
    """

    name: str
    kind: CheckKind
    target: str
    because: tuple[Pointer, ...] = ()


@dataclass(frozen=True)
class Fragment:
    """Everything one feature or recipe wants on one machine. `by` is its name in messages and `explain`."""

    by: str
    packages: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    symlinks: tuple[Symlink, ...] = ()
    units: tuple[Unit, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    checks: tuple[Check, ...] = field(default=())
    claims: tuple[tuple[str, Pointer], ...] = ()
    """Paths that a program writes there itself, each with where it is said: nobody else may own them."""
