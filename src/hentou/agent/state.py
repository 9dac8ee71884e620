"""What the agent remembers between two runs: one small file, replaced as a whole. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Saved:
    """Something found at a path before hentou put its own there; `kind` as in `disk.Stat`.

    A file's bytes lie in the store's `originals`, under their digest.
    """

    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    digest: str = ""
    target: str = ""


@dataclass(frozen=True)
class Pending:
    """An activation under way: towards generation `id`, from `base` (None: the machine had none).

    `saved` tells what every path that `base` does not own was like (None: not there); it is complete once
    `kept` is true, and before that no file of the machine is touched. `left` are hand edits that neither this
    activation nor its undo may touch; `running` are units that ran before although `base` knows nothing of them.
    """

    id: str
    base: str | None
    since: str
    commit: str = ""
    kept: bool = False
    saved: Mapping[str, Saved | None] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    running: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a generation was undone: one line a reason, in the words of what failed."""

    id: str
    at: str
    reasons: tuple[str, ...]
    commit: str = ""


@dataclass(frozen=True)
class AdoptedEdit:
    """A hand edit kept until the repository has it, as in `generation.facts.Adopted`."""

    edited: str
    instead_of: tuple[str, ...]


@dataclass(frozen=True)
class State:
    """Everything the agent knows; generations are named by their ids, times are ISO 8601 in UTC.

    `held` tells what the generation that hand edits hold back says about each of their paths (empty: nothing).
    """

    current: str | None = None
    previous: str | None = None
    since: str = ""
    commit: str = ""
    pending: Pending | None = None
    quarantined: Mapping[str, str] = field(default_factory=dict)
    adopted: Mapping[str, AdoptedEdit] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, Saved] = field(default_factory=dict)
    made: tuple[str, ...] = ()
    last_failure: Failure | None = None

    @property
    def json(self) -> bytes:
        """Canonical JSON of the state."""
        record = {"format": FORMAT, **asdict(self)}
        return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> State:
        """A state from its JSON; ValueError when it is not one."""
        record = json.loads(data)
        if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
            raise ValueError("not a state of this format")
        pending, failure = record.pop("pending"), record.pop("last_failure")
        return cls(
            pending=_pending(pending) if pending else None,
            last_failure=Failure(**{**failure, "reasons": tuple(failure["reasons"])}) if failure else None,
            adopted={
                path: AdoptedEdit(item["edited"], tuple(item["instead_of"]))
                for path, item in record.pop("adopted").items()
            },
            originals={path: Saved(**item) for path, item in record.pop("originals").items()},
            made=tuple(record.pop("made")),
            **record,
        )

    def without_pending(self) -> State:
        """The state once an activation is undone."""
        return replace(self, pending=None)


def _pending(record: dict[str, Any]) -> Pending:
    saved = {path: Saved(**item) if item else None for path, item in record.pop("saved").items()}
    left, running = (tuple(record.pop(key)) for key in ("left", "running"))
    return Pending(saved=saved, left=left, running=running, **record)
