"""Steps: what an activation does, as data, each with its printed reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hentou.generation.fragment import Certificate, Directory, Unit, User
from hentou.generation.generation import Entry


class StepKind(StrEnum):
    """What a step does."""

    INSTALL = "install"
    CREATE_ACCOUNT = "create account"
    MODIFY_ACCOUNT = "modify account"
    UNLOCK_ACCOUNT = "unlock account"
    LOCK_ACCOUNT = "lock account"
    MAKE_DIRECTORY = "make directory"
    WRITE = "write"
    LINK = "link"
    REMOVE = "remove"
    REMOVE_DIRECTORY = "remove directory"
    ISSUE = "issue certificate"
    STOP = "stop"
    DAEMON_RELOAD = "reload systemd"
    RESTART = "restart"
    RELOAD = "reload"
    START = "start"


Subject = User | Directory | Entry | Certificate | Unit | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do to `target`, why, for which feature, and the data needed to do it.

    `subject` is the packages of an installation, or the account, directory, entry, certificate or unit meant.
    """

    kind: StepKind
    target: str
    reason: str
    by: str = ""
    subject: Subject = None

    @property
    def record(self) -> dict[str, str]:
        """As scripts read it."""
        return {"kind": str(self.kind), "target": self.target, "reason": self.reason, "by": self.by}

    def __str__(self) -> str:
        """As people read it: `write /etc/motd  (changed: content; base)`."""
        why = f"{self.reason}; {self.by}" if self.by else self.reason
        return f"{self.kind} {self.target}".rstrip() + f"  ({why})"


@dataclass(frozen=True, slots=True)
class Held:
    """A hand edit that stands in the way: an owned file that no longer is what hentou wrote."""

    path: str
    by: str
    reason: str

    @property
    def hint(self) -> str:
        """What to do about it."""
        return f"keep it with `hentou adopt {self.path}`, or drop it with `hentou overwrite {self.path}`"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an activation does, in order, and the hand edits because of which it would not start."""

    steps: tuple[Step, ...] = ()
    held: tuple[Held, ...] = ()
