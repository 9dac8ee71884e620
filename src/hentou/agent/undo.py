"""Undo an activation on a running machine: files, accounts, units and what runs, together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hentou.agent.execute import Executor
from hentou.agent.facts import gather
from hentou.agent.host import Host
from hentou.agent.restore import restore
from hentou.agent.state import Failure, Pending
from hentou.errors import HentouError
from hentou.generation.generation import Manifest
from hentou.generation.plan import plan
from hentou.generation.step import Step, StepKind

BUDGET = 28.0
"""Seconds for all orders to systemd together, so that an undo ends within thirty even where a unit hangs."""

_LEAST = 2.0
_ACCOUNTS = (StepKind.MODIFY_ACCOUNT, StepKind.UNLOCK_ACCOUNT, StepKind.LOCK_ACCOUNT)


def undo(host: Host, pending: Pending, reasons: tuple[str, ...], *, quarantine: bool) -> tuple[str, ...]:
    """Bring the generation before `pending` back; return what could not be.

    The record is cleared, with the reasons kept, once all files are back; the generation is not tried again by
    itself when `quarantine` is set. Units that then fail to start are told, but nothing more can be undone.
    """
    return _Undo(host, pending).run(reasons, quarantine=quarantine)


class _Undo:
    def __init__(self, host: Host, pending: Pending) -> None:
        self.host = host
        self.pending = pending
        self.problems: list[str] = []
        self.deadline = host.monotonic() + BUDGET
        self.steps: tuple[Step, ...] = ()

    def run(self, reasons: tuple[str, ...], *, quarantine: bool) -> tuple[str, ...]:
        self._try(self._look)
        stopping = self._targets(StepKind.STOP)
        found = tuple(unit for unit in stopping if unit in self.pending.running)
        self._systemctl("stop", tuple(unit for unit in stopping if unit not in found), self.problems)
        lost = restore(self.host.store)
        if lost:
            return (*self.problems, *lost)
        executor = Executor(self.host, self.pending.base or self.pending.id, self.host.store.state())
        for step in self.steps:
            if step.kind in _ACCOUNTS:
                self._try(partial(executor.execute, step))
        self._bring_up(found)
        self._record(reasons, quarantine=quarantine)
        return tuple(self.problems)

    def _look(self) -> None:
        """The steps back, found before files are restored: what differs now tells what must be restarted."""
        failed = self.host.manifest(self.pending.id)
        if failed:
            base = self.host.manifest(self.pending.base) or Manifest(failed.machine)
            self.steps = plan(failed, base, gather(self.host, failed, base)).steps

    def _bring_up(self, found: tuple[str, ...]) -> None:
        """Have the generation before run again, and the units of Debian's own that were `found` running."""
        if any(step.kind is StepKind.DAEMON_RELOAD for step in self.steps):
            self._try(partial(self.host.system.systemctl, "daemon-reload", timeout=self._left()))
        reloading = self._targets(StepKind.RELOAD)
        restarting = found + self._targets(StepKind.RESTART, StepKind.START)
        units = reloading + restarting
        if not units:
            return
        self.host.system.reset_failed(units)
        refused: list[str] = []
        self._systemctl("reload-or-restart", reloading, refused)
        self._systemctl("restart", restarting, refused)
        if refused:
            # One may have held another's port: those that are down get a second try, now that all have moved.
            states = self.host.system.units(units)
            down = tuple(unit for unit in units if unit not in states or states[unit].active != "active")
            self._systemctl("restart", down, self.problems)

    def _record(self, reasons: tuple[str, ...], *, quarantine: bool) -> None:
        state, pending = self.host.store.state().without_pending(), self.pending
        failure = Failure(pending.id, self.host.moment(), reasons, pending.commit)
        refused = {pending.id: reasons[0]} if quarantine and pending.id != pending.base else {}
        after = replace(state, last_failure=failure, quarantined={**state.quarantined, **refused})
        self.host.store.save(after)
        self.host.store.prune(after)
        self.host.system.disarm_undo()

    def _targets(self, *kinds: StepKind) -> tuple[str, ...]:
        return tuple(step.target for step in self.steps if step.kind in kinds)

    def _left(self) -> float:
        return max(_LEAST, self.deadline - self.host.monotonic())

    def _systemctl(self, verb: str, units: tuple[str, ...], problems: list[str]) -> None:
        if units:
            self._try(partial(self.host.system.systemctl, verb, *units, timeout=self._left()), problems)

    def _try(self, action: Callable[[], None], problems: list[str] | None = None) -> None:
        try:
            action()
        except HentouError as error:
            (self.problems if problems is None else problems).append(error.message)
