"""Bring a statement and its head to the machines' inboxes, and hear what they make of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hentou.admin.chain import Settled
from hentou.admin.reach import Connection, Reaching, UnreachableError
from hentou.effects.process import Result
from hentou.ledger.statements import PROPOSALS
from hentou.trust.journal import printable

_SYNC = 120.0
"""Seconds for a machine to take a change in; it is activated apart."""

_FOLLOW = ("systemd-run", "--quiet", "--collect", "--no-block", "hentou", "sync", "--inbox-only")
"""As a unit of its own: a child of the SSH session would keep it open, and might end with it."""

_START = 20.0
_LONGEST = 1000
"""Characters of what a machine gives for a reason."""


class Fate(StrEnum):
    """What a machine did with a statement."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Delivery:
    """How it went at one machine: by which way it was reached, and why it is not accepted."""

    machine: str
    fate: Fate
    way: str = ""
    reason: str = ""


def deliver(reach: Reaching, settled: Settled, person: str, machines: Iterable[str] = ()) -> tuple[Delivery, ...]:
    """Push a statement and its head to the inbox of every machine that can be reached, all at once, and sync there."""

    def one(item: tuple[str, Connection | UnreachableError]) -> Delivery:
        machine, found = item
        if isinstance(found, UnreachableError):
            return Delivery(machine, Fate.UNREACHABLE, reason=found.message)
        return hand_over(found, settled, person)

    reached = sorted(reach.all(machines).items())
    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(one, reached))


def hand_over(connection: Connection, settled: Settled, person: str) -> Delivery:
    """Push a statement and its head to one machine's inbox, have it judged there, and start what follows from it."""
    statement, commit = settled.kept.statement, settled.kept.commit
    machine, way, head = connection.machine, connection.way, statement.head
    if why := connection.push([f"+{commit}:{PROPOSALS}/{person}", f"+{head}:refs/hentou/heads/{head}"]):
        return Delivery(machine, Fate.REFUSED, way, f"its inbox: {why}")
    synced = connection.run(["hentou", "sync", "--inbox-only", "--no-converge", "--json"], timeout=_SYNC, root=True)
    report = _report(synced)
    if report is None:
        return Delivery(machine, Fate.REFUSED, way, _last_words(synced))
    if why := report["refused"].get(f"inbox {person}", ""):
        return Delivery(machine, Fate.REFUSED, way, printable(str(why), _LONGEST))
    if report["sequence"] >= statement.sequence:
        # Activation takes as long as it takes: it outlives this connection, and the journal tells how it ended.
        started = connection.run(_FOLLOW, timeout=_START, root=True)
        reason = "" if not started.status else f"activated by its agent, not at once: {_last_words(started)}"
        return Delivery(machine, Fate.ACCEPTED, way, reason)
    return Delivery(machine, Fate.WAITING, way, settled.missing or _last_words(synced))


def _report(synced: Result) -> dict[str, Any] | None:
    """What `hentou sync --json` printed; None when that is no report."""
    try:
        found = json.loads(synced.stdout)
        return found if isinstance(found["refused"], dict) and isinstance(found["sequence"], int) else None
    except (ValueError, TypeError, KeyError):
        return None


def _last_words(synced: Result) -> str:
    lines = [line.strip() for line in (synced.stdout + synced.stderr).splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error:")]
    return printable((errors or lines or [f"`hentou sync` ended with status {synced.status}"])[-1], _LONGEST)
