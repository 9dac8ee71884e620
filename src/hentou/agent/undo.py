"""Undo an activation on a running machine: files, accounts, units and what runs, together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hentou.agent.execute import Executor
from hentou.agent.facts import gather
from hentou.agent.host import Host
from hentou.agent.restore import restore
from hentou.agent.state import Failure, Pending, State
from hentou.errors import HentouError
from hentou.generation.generation import Manifest
from hentou.generation.plan import plan
from hentou.generation.step import Step, StepKind

UNITS_TIMEOUT = 20
"""Seconds for all units of an undo together, so that it ends within thirty."""

_ACCOUNTS = (StepKind.MODIFY_ACCOUNT, StepKind.UNLOCK_ACCOUNT, StepKind.LOCK_ACCOUNT)
_UP = (StepKind.RESTART, StepKind.RELOAD, StepKind.START)


def undo(host: Host, pending: Pending, reasons: tuple[str, ...], *, quarantine: bool) -> tuple[str, ...]:
    """Bring the generation before `pending` back; return what could not be.

    The record is cleared, with the reasons kept, once all files are back; the generation is not tried again by
    itself when `quarantine` is set. Units that then fail to start are told, but nothing more can be undone.
    """
    base = host.manifest(pending.base)
    failed = host.manifest(pending.id)
    steps, problems = _steps(host, base, failed) if failed else ((), [])
    stopping = _targets(steps, StepKind.STOP)
    _systemctl(host, "stop", tuple(unit for unit in stopping if unit not in pending.running), problems)
    lost = restore(host.store)
    if lost:
        return (*problems, *lost)
    executor = Executor(host, pending.base or pending.id, host.store.state())
    for step in steps:
        if step.kind in _ACCOUNTS:
            _try(partial(executor.execute, step), problems)
    _bring_up(host, steps, tuple(unit for unit in stopping if unit in pending.running), problems)
    host.store.save(_undone(host, pending, reasons, quarantine=quarantine))
    host.store.prune(host.store.state())
    host.system.disarm_undo()
    return tuple(problems)


def _steps(host: Host, base: Manifest | None, failed: Manifest) -> tuple[tuple[Step, ...], list[str]]:
    back = base or Manifest(failed.machine)
    try:
        return plan(failed, back, gather(host, failed, back)).steps, []
    except HentouError as error:
        return (), [error.message]


def _bring_up(host: Host, steps: tuple[Step, ...], found: tuple[str, ...], problems: list[str]) -> None:
    """Have the generation before run again, and the units of Debian's own that were `found` running."""
    if any(step.kind is StepKind.DAEMON_RELOAD for step in steps):
        _systemctl(host, "daemon-reload", (), problems, always=True)
    units = found + _targets(steps, *_UP)
    if not units:
        return
    host.system.reset_failed(units)
    refused: list[str] = []
    _systemctl(host, "reload-or-restart", _targets(steps, StepKind.RELOAD), refused)
    _systemctl(host, "restart", found + _targets(steps, StepKind.RESTART, StepKind.START), refused)
    if refused:
        # One may have held another's port: those that are down get a second try, now that all have moved.
        states = host.system.units(units)
        down = tuple(unit for unit in units if unit not in states or states[unit].active != "active")
        _systemctl(host, "restart", down, problems)


def _targets(steps: tuple[Step, ...], *kinds: StepKind) -> tuple[str, ...]:
    return tuple(step.target for step in steps if step.kind in kinds)


def _systemctl(host: Host, verb: str, units: tuple[str, ...], problems: list[str], *, always: bool = False) -> None:
    if units or always:
        _try(lambda: host.system.systemctl(verb, *units, timeout=UNITS_TIMEOUT), problems)


def _try(action: Callable[[], None], problems: list[str]) -> None:
    try:
        action()
    except HentouError as error:
        problems.append(error.message)


def _undone(host: Host, pending: Pending, reasons: tuple[str, ...], *, quarantine: bool) -> State:
    state = host.store.state().without_pending()
    failure = Failure(pending.id, host.moment(), reasons, pending.commit)
    refused = {pending.id: reasons[0]} if quarantine and pending.id != pending.base else {}
    return replace(state, last_failure=failure, quarantined={**state.quarantined, **refused})
