"""How every machine of the collective is, in words, from its newest journal entry. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hentou.trust.journal import Standing, detachment, printable

SILENCE = timedelta(hours=25)
"""A machine reports once a day: after this long it is cut off, or off."""

WELL = "well"
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True)
class Row:
    """One machine as last known: what it said at `heard` (ISO 8601; empty for never), and that in words."""

    machine: str
    site: str
    standing: Standing
    heard: str
    state: tuple[str, ...]
    age: timedelta | None = None
    """How old the knowledge is; None where nothing was heard."""

    @property
    def well(self) -> bool:
        """Whether there is nothing to look at."""
        return self.state == (WELL,)

    @property
    def runs(self) -> str:
        """What it runs, in short: `5 3f9a0c12`."""
        step = str(self.standing.active_sequence or "-")
        return f"{step} {self.standing.active[:8] or '-'}"

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        told = self.standing
        return {
            "machine": self.machine,
            "site": self.site,
            "sequence": told.sequence,
            "head": told.head,
            "active_sequence": told.active_sequence,
            "active": told.active,
            "generation": told.generation,
            "since": told.since,
            "state": list(self.state),
            "well": self.well,
            "heard": self.heard,
            "age": None if self.age is None else int(self.age.total_seconds()),
            "standing": told.record,
        }


@dataclass(frozen=True)
class Known:
    """What is known here of all machines: their sites, the newest entries (standing and time), whose journals are
    frozen, and the newest sequence that was accepted here.
    """

    sites: Mapping[str, str]
    told: Mapping[str, tuple[Standing, str]]
    frozen: frozenset[str] = field(default_factory=frozenset)
    newest: int = 0


def rows(known: Known, machines: Iterable[str], now: datetime) -> list[Row]:
    """A row for each of these machines, by site and name."""
    found = [_row(known, machine, now) for machine in machines]
    return sorted(found, key=lambda row: (row.site, row.machine))


def _row(known: Known, machine: str, now: datetime) -> Row:
    site = known.sites.get(machine, "")
    if machine not in known.told:
        return Row(machine, site, Standing(), "", ("nothing was heard of it yet",))
    told, at = known.told[machine]
    age = _age(at, now)
    state = (*_frozen(machine, known), *words(told, known.newest), *_silence(age))
    return Row(machine, site, told, at, tuple(map(printable, state)) or (WELL,), age)


def _age(at: str, now: datetime) -> timedelta | None:
    try:
        heard = datetime.fromisoformat(at)
        return now - (heard if heard.tzinfo else heard.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def _frozen(machine: str, known: Known) -> Iterator[str]:
    if machine in known.frozen:
        yield "its journal is frozen: it signed two entries of one number"


def _silence(age: timedelta | None) -> Iterator[str]:
    if age is not None and age > SILENCE:
        yield f"isolated or off: last heard of {ago(age)}"
    if age is not None and age < -_AHEAD:
        yield "its clock is ahead"


def words(told: Standing, newest: int = 0) -> Iterator[str]:
    """What a standing says that is not as it should be; nothing while all is well."""
    if told.detached:
        yield f"detached {detachment(told.detached)}"
    if told.undone:
        yield f"undone: {told.undone[:12]}{_because(told.failed.get(told.undone, ''))}"
    for name, why in told.failed.items():
        if name != told.undone:
            yield f"quarantined: {name[:12]}{_because(why)}"
    if told.held:
        yield f"held by hand edits of {', '.join(told.held)}"
    if told.refused:
        yield f"refused: {told.refused}"
    if told.down:
        yield f"down: {', '.join(told.down)}"
    yield from (f"alarm: {alarm}" for alarm in told.alarms)
    yield from _behind(told, newest)


def _because(why: str) -> str:
    return f": {why}" if why else ""


def _behind(told: Standing, newest: int) -> Iterator[str]:
    if told.sequence < newest:
        yield f"behind: it knows step {told.sequence} of {newest}"
    elif not told.generation:
        yield "no generation yet"
    elif told.head and told.active != told.head and not (told.detached or told.held or told.head in told.failed):
        yield f"step {told.sequence} waits: for a canary site, or to be activated just now"


def ago(age: timedelta | None) -> str:
    """How long ago something was, in words."""
    if age is None:
        return "never"
    seconds = int(age.total_seconds())
    if seconds < 60:
        return "just now"
    for size, limit, name in ((60, 120, "min"), (3600, 48, "h"), (86400, 10**9, "days")):
        if seconds < size * limit:
            return f"{seconds // size} {name} ago"
    return "never"
