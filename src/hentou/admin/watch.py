"""How a published change ends at each machine, by the word of its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from hentou.admin import gather
from hentou.admin.reach import Reaching
from hentou.admin.workcopy import WorkCopy
from hentou.effects import clock
from hentou.ledger.journals import newest_of
from hentou.model.types import Collective
from hentou.trust.journal import Standing, printable
from hentou.trust.statement import Statement

PATIENCE = 120.0
"""Seconds that an admin waits to see how a change ends."""

_PAUSE = 2.0


class End(StrEnum):
    """Where a machine is with a change; all but the first three are ends, until somebody does something."""

    UNHEARD = "not heard of"
    BEHIND = "not accepted yet"
    ACCEPTED = "accepted, not active yet"
    CANARY = "waits for a canary site"
    ACTIVE = "active"
    UNDONE = "undone"
    HELD = "held by hand edits"
    DETACHED = "detached"

    @property
    def open(self) -> bool:
        """Whether it may still change by itself soon."""
        return self in (End.UNHEARD, End.BEHIND, End.ACCEPTED)


@dataclass(frozen=True)
class State:
    """One machine's end, with the reason where there is one."""

    end: End
    reason: str = ""


def state(standing: Standing | None, wanted: Statement, *, waits: bool) -> State:
    """Where a machine with this standing is with a change; `waits` says that it lets canary sites go first."""
    if standing is None:
        return State(End.UNHEARD)
    if standing.active == wanted.head or standing.active_sequence >= wanted.sequence:
        return State(End.ACTIVE)
    if standing.sequence < wanted.sequence:
        return State(End.BEHIND, standing.refused)
    return _stopped(standing, wanted) or State(End.CANARY if waits else End.ACCEPTED)


def _stopped(standing: Standing, wanted: Statement) -> State | None:
    if standing.detached:
        return State(End.DETACHED, standing.detached.get("why", ""))
    if failed := standing.failed.get(wanted.head):
        return State(End.UNDONE, failed)
    return State(End.HELD, ", ".join(standing.held)) if standing.held else None


def states(copy: WorkCopy, collective: Collective, wanted: Statement) -> Mapping[str, State]:
    """Where every enrolled machine is, as far as the journals in the working copy tell."""
    keys = {m.name: keys.journal for m in collective.managed
            if (keys := collective.keys.get(m.name)) and keys.journal}  # fmt: skip
    entries = newest_of(copy.store, keys)
    canaries = collective.spec.policies.canaries
    found: dict[str, State] = {}
    for machine in keys:
        entry = entries.get(machine)
        waits = bool(canaries) and collective.machines[machine].site not in canaries
        found[machine] = state(entry.entry.standing if entry else None, wanted, waits=waits)
    return found


def watch(
    copy: WorkCopy,
    reach: Reaching,
    collective: Collective,
    wanted: Statement,
    *,
    machines: Iterable[str],
    tell: Callable[[str], None],
    patience: float = PATIENCE,
) -> Mapping[str, State]:
    """Ask the reachable machines again and again until all of `machines` have ended, or `patience` seconds passed."""
    still = tuple(machines)
    deadline = clock.monotonic() + patience
    told: dict[str, State] = {}
    while True:
        if still:
            gather.fetch(copy, reach, still)
        now = states(copy, collective, wanted)
        for line in _news(told, now):
            tell(line)
        told = dict(now)
        still = tuple(machine for machine in still if machine in now and now[machine].end.open)
        if not still or clock.monotonic() > deadline:
            return now
        clock.sleep(_PAUSE)


def _news(before: Mapping[str, State], now: Mapping[str, State]) -> Iterator[str]:
    for machine, found in now.items():
        if found != before.get(machine) and found.end not in (End.UNHEARD, End.BEHIND):
            yield f"{machine}: {found.end}" + (f": {printable(found.reason)}" if found.reason else "")
