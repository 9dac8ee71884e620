"""Which of the accepted heads a machine activates now, and what the others wait for. Pure.

A choice only ever leads forward. Journals are their machines' own word: a canary that lies can hold a change back or
hurry it on, but never bring in one that was not signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hentou.model.types import Policies
from hentou.trust.journal import Standing


class Accepted(NamedTuple):
    """A head that this machine has accepted, as step `sequence`, and when it did."""

    sequence: int
    head: str
    at: datetime


class Canary(NamedTuple):
    """What a machine of a canary site said last, and when; `heard` is the time of its newest entry."""

    machine: str
    site: str
    standing: Standing
    heard: datetime


@dataclass(frozen=True)
class Choice:
    """The commit to activate now, with its sequence; with an empty `commit` nothing is, and `why` tells the reason.

    While a newer head waits, `until` is when to ask again at the latest.
    """

    commit: str
    sequence: int
    why: str
    until: datetime | None = None


@dataclass(frozen=True)
class Here:
    """The machine that chooses: its site, the sequence that is active (0: none), the commits that failed on it and
    why, and whether it is detached.
    """

    site: str
    active: int = 0
    failed: Mapping[str, str] | None = None
    detached: bool = False


class _Wait(NamedTuple):
    why: str
    until: datetime


def choose(
    accepted: Iterable[Accepted], here: Here, policies: Policies, canaries: Iterable[Canary], now: datetime
) -> Choice:
    """The newest accepted head that may be activated here, or why none may.

    `policies` are those of the newest accepted head. Canaries of other sites than the policies name are ignored.
    """
    newer = sorted((one for one in accepted if one.sequence > here.active), reverse=True)
    if not newer:
        return Choice("", here.active, "nothing newer was accepted")
    if here.detached:
        return Choice("", newer[0].sequence, "this machine is detached")
    listened = () if here.site in policies.canaries else tuple(c for c in canaries if c.site in policies.canaries)
    waiting: list[_Wait] = []
    failures: list[str] = []
    for one in newer:
        if failure := _failure(one, here, listened):
            failures.append(failure)
        elif wait := _wait(one, here, policies, listened, now):
            waiting.append(wait)
        else:
            return Choice(one.head, one.sequence, _reason(here, policies, failures, waiting), _soonest(waiting))
    why = waiting[0].why if waiting else failures[0]
    return Choice("", newer[0].sequence, why, _soonest(waiting))


def _reason(here: Here, policies: Policies, failures: list[str], waiting: list[_Wait]) -> str:
    """Why this one and not a newer one."""
    if waiting:
        return f"a newer one waits: {waiting[0].why}"
    if failures:
        return f"a newer one is passed over: {failures[0]}"
    if here.site in policies.canaries:
        return f"{here.site} is a canary site"
    return "proved at a canary site, or waited for long enough" if policies.canaries else "the newest"


def _soonest(waiting: list[_Wait]) -> datetime | None:
    return min((wait.until for wait in waiting), default=None)


def _failure(one: Accepted, here: Here, canaries: Iterable[Canary]) -> str:
    """Where and why this head has failed; empty when nobody says so.

    A canary's failure counts although it is detached: perhaps its site was detached because of it.
    """
    failed = here.failed or {}
    if one.head in failed:
        return f"step {one.sequence} failed here: {failed[one.head]}"
    for canary in canaries:
        if reason := canary.standing.failed.get(one.head):
            return f"step {one.sequence} failed on {canary.machine}: {reason}"
        if canary.standing.undone == one.head:
            return f"step {one.sequence} was undone on {canary.machine}"
    return ""


def _wait(one: Accepted, here: Here, policies: Policies, canaries: Iterable[Canary], now: datetime) -> _Wait | None:
    """What this head waits for; None when it may go."""
    if not policies.canaries or here.site in policies.canaries:
        return None
    soak, latest = timedelta(seconds=policies.soak), _later(one.at, policies.patience)
    begun = {canary.machine: since for canary in canaries if (since := _active_since(canary, one.sequence))}
    proved = [machine for machine, since in begun.items() if now - since >= soak]
    if proved or now >= latest:
        return None
    if begun:
        first = min(begun, key=lambda machine: begun[machine])
        return _Wait(f"step {one.sequence} proves itself on {first}", min(latest, _later(begun[first], policies.soak)))
    if heard := [canary.machine for canary in canaries if canary.heard >= one.at and not canary.standing.detached]:
        return _Wait(f"step {one.sequence} is not active on {min(heard)} yet", latest)
    sites = ", ".join(policies.canaries)
    return _Wait(f"nothing is heard of step {one.sequence} from the canary sites: {sites}", latest)


def _active_since(canary: Canary, sequence: int) -> datetime | None:
    """Since when an attached canary has been active on this sequence or a later one; None when it is not."""
    standing = canary.standing
    if standing.detached or standing.active_sequence < sequence:
        return None
    try:
        since = datetime.fromisoformat(standing.since)
    except ValueError:
        return None
    return since if since.tzinfo else since.replace(tzinfo=UTC)


def _later(start: datetime, seconds: int) -> datetime:
    """So many seconds later, or the end of time."""
    try:
        return start + timedelta(seconds=seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
