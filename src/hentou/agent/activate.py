"""Bring a machine to a generation: stage, pending record, steps, health, confirm; or undo and say why."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import FrameType

from hentou.agent import health
from hentou.agent.execute import Executor
from hentou.agent.facts import gather
from hentou.agent.host import Host
from hentou.agent.keep import RESERVE_FLOOR, confirmed, keep
from hentou.agent.restore import RESERVE
from hentou.agent.state import Pending, State
from hentou.agent.undo import undo
from hentou.effects.disk import DiskError
from hentou.effects.system import InstallError, die
from hentou.errors import HentouError
from hentou.generation.generation import Generation, Manifest
from hentou.generation.plan import plan
from hentou.generation.step import Plan, Step, StepKind

CUT_POINTS_BESIDES_STEPS = 6
"""Before staging, the pending record, keeping what is found, the health checks, confirming, and tidying up."""

_BEFORE_FILES = (
    StepKind.INSTALL, StepKind.CREATE_ACCOUNT, StepKind.MODIFY_ACCOUNT, StepKind.UNLOCK_ACCOUNT,
    StepKind.LOCK_ACCOUNT,
)  # fmt: skip
_STARTING = (StepKind.START, StepKind.RESTART, StepKind.RELOAD)


class Exit(IntEnum):
    """Exit status of `hentou converge`; 2 is left to errors of usage."""

    ACTIVE = 0
    ERROR = 1
    UNDONE = 3
    HELD = 4
    QUARANTINED = 5


@dataclass(frozen=True)
class Outcome:
    """How an activation ended: its exit status, what happened in a line, the reasons, and the plan."""

    exit: Exit
    message: str
    reasons: tuple[str, ...] = ()
    plan: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class Options:
    """How to activate: `retry` a quarantined generation, `stop_before` a cut point as a power cut would (counted
    from 1), only issue certificates, or let the hand edits of `overwrite` go and leave all others as they are.
    `leaving` quarantines the generation before, with this reason, once the other is confirmed.
    """

    commit: str = ""
    retry: bool = False
    overwrite: frozenset[str] = frozenset()
    stop_before: int | None = None
    certificates_only: bool = False
    leaving: str = ""


class InterruptedActivationError(HentouError):
    """Somebody asked the process to end."""


_NOT_ITS_FAULT = (KeyboardInterrupt, InterruptedActivationError, InstallError, DiskError)
"""What undoes a generation without a word against it: it is tried again at the next run."""


def cut_points(steps: Plan) -> int:
    """How many points an activation of this plan can be stopped dead at by `stop_before`."""
    return len(steps.steps) + CUT_POINTS_BESIDES_STEPS if steps.steps else 0


def preview(host: Host, generation: Generation, options: Options | None = None) -> Plan:
    """What an activation would do now. Changes nothing."""
    wanted = options or Options()
    old = host.manifest(host.store.state().current)
    facts = gather(host, old, generation.manifest, wanted.overwrite, generation.contents)
    found = plan(old, generation.manifest, facts)
    if wanted.certificates_only:
        return _only_certificates(found)
    if wanted.overwrite:
        left = {held.path for held in found.held}
        return Plan(tuple(step for step in found.steps if step.target not in left), found.held)
    return found


def _only_certificates(found: Plan) -> Plan:
    issues = [step for step in found.steps if step.kind is StepKind.ISSUE]
    units = [s for s in found.steps if s.kind in _STARTING and s.reason.startswith("certificate ")]
    # The edits are not in the way of a renewal, but they must be known: its undo would put their files back.
    return Plan((*issues, *units) if issues else (), found.held)


def activate(host: Host, generation: Generation, options: Options | None = None) -> Outcome:
    """Bring the machine to a generation, or leave it as it was; never between the two.

    LockedError when another process is at it. An activation that died earlier is undone first.
    """
    wanted = options or Options()
    with host.store.lock():
        undo_interrupted(host)
        state = host.store.state()
        if generation.id in state.quarantined and not wanted.retry:
            reason = state.quarantined[generation.id]
            return Outcome(Exit.QUARANTINED, f"{generation.id[:12]} is quarantined and is not tried again", (reason,))
        found = preview(host, generation, wanted)
        if found.held and not (wanted.overwrite or wanted.certificates_only):
            says = {held.path: _says(generation.manifest, held.path) for held in found.held}
            if says != state.held:
                host.store.save(replace(state, held=says))
            return Outcome(Exit.HELD, "held by files edited by hand; nothing was changed", (), found)
        if generation.id == state.current and not found.steps:
            return Outcome(Exit.ACTIVE, f"{generation.id[:12]} is active; nothing to do")
        return _Activation(host, generation, wanted, found).run()


def _says(manifest: Manifest, path: str) -> str:
    entry = manifest.by_path.get(path)
    return entry.says if entry else ""


def undo_interrupted(host: Host) -> bool:
    """Undo an activation whose process died; whether there was one. The caller holds the lock."""
    pending = host.store.state().pending
    if pending is None:
        return False
    host.tell("an activation was interrupted: undoing it first")
    lost = undo(host, pending, ("interrupted: the activation's process died",), quarantine=False)
    if host.store.state().pending:
        raise HentouError(
            f"an interrupted activation could not be undone: {'; '.join(lost)}",
            "mend that by hand, then run `hentou converge` again",
        )
    return True


class _Activation:
    def __init__(self, host: Host, generation: Generation, options: Options, found: Plan) -> None:
        self.host = host
        self.store = host.store
        self.generation = generation
        self.options = options
        self.plan = found
        self.points = 0

    def run(self) -> Outcome:
        state = self.store.state()
        new = self.generation.manifest
        self._point()
        about = {"commit": self.options.commit, "at": self.host.moment()}
        self.store.stage(self.generation.id, new.json, self.generation.contents, about, state.current)
        connected = bool(self.plan.steps) and health.reachable(self.host, new.peers)
        with _signals():
            self._point()
            pending = self._announce(state)
            try:
                self.host.system.arm_undo()
                self._switch(self.host.manifest(state.current), pending)
                failed = self._check(connected)
                if not failed:
                    self._confirm()
            except (Exception, KeyboardInterrupt) as error:  # whatever it is, a machine is not left half-way
                said = error.message if isinstance(error, HentouError) else f"{type(error).__name__}: {error}"
                return self._undo(pending, (said,), quarantine=not isinstance(error, _NOT_ITS_FAULT))
            if failed:
                return self._undo(pending, failed, quarantine=True)
            return self._tidy()

    def _announce(self, state: State) -> Pending:
        """Write the pending record, with enough space set aside to take it back."""
        pending = self._pending(state)
        try:
            self.host.disk.reserve(RESERVE, RESERVE_FLOOR)
            self.store.save(replace(state, pending=pending))
        except HentouError:
            self.host.disk.remove(RESERVE)
            raise
        return pending

    def _pending(self, state: State) -> Pending:
        old = self.host.manifest(state.current)
        known = {unit.name for unit in old.units} if old else set()
        found = self.host.system.units(u.name for u in self.generation.manifest.units if u.name not in known)
        return Pending(
            self.generation.id,
            state.current,
            self.host.moment(),
            self.options.commit,
            left=tuple(held.path for held in self.plan.held),
            running=tuple(name for name, unit in found.items() if unit.active == "active"),
        )

    def _point(self) -> None:
        self.points += 1
        if self.points == self.options.stop_before:
            die()

    def _switch(self, old: Manifest | None, pending: Pending) -> None:
        executor = Executor(self.host, self.generation.id, self.store.state())
        kept = False
        refused: list[Step] = []
        for number, step in enumerate(self.plan.steps, 1):
            if not kept and step.kind not in _BEFORE_FILES:
                self._keep(old, pending)
                kept = True
            self._point()
            self.host.tell(f"[{number}/{len(self.plan.steps)}] {step}")
            self._execute(executor, step, refused)
        if not kept:
            self._keep(old, pending)
        for step in refused:
            self.host.tell(f"again: {step}")
            executor.execute(step)

    def _execute(self, executor: Executor, step: Step, refused: list[Step]) -> None:
        """Do a step. A unit that does not start is tried again last: another may still hold its port."""
        try:
            executor.execute(step)
        except HentouError as error:
            if step.kind not in _STARTING or isinstance(error, InterruptedActivationError):
                raise
            refused.append(step)

    def _keep(self, old: Manifest | None, pending: Pending) -> None:
        self._point()
        kept = keep(self.host, pending, old, self.generation.manifest, self.plan.steps)
        self.store.save(replace(self.store.state(), pending=kept))

    def _check(self, connected: bool) -> tuple[str, ...]:
        self._point()
        if not self.plan.steps:
            return ()
        self.host.tell(f"checking health, for at most {self.generation.manifest.health_timeout} s")
        started = any(step.kind in _STARTING for step in self.plan.steps)
        return health.wait(self.host, self.generation.manifest, connected=connected, started=started)

    def _confirm(self) -> None:
        self._point()
        self.host.disk.flush()
        state, new = self.store.state(), self.generation.manifest
        options = self.options
        gone, leaving = options.overwrite, options.leaving
        after = confirmed(self.host, state, new, options.commit, overwritten=gone, leaving=leaving)
        self.store.save(after)

    def _undo(self, pending: Pending, failed: tuple[str, ...], *, quarantine: bool) -> Outcome:
        _deaf()
        # A signal may have come just after the one commit point: then there is nothing to undo.
        if self.store.state().pending is None:
            return self._tidy()
        self.host.tell(f"undoing: {failed[0]}")
        lost = undo(self.host, pending, failed, quarantine=quarantine)
        if self.store.state().pending:
            return Outcome(Exit.ERROR, "could not be undone whole", (*failed, *lost), self.plan)
        back = f"{pending.base[:12]} is back" if pending.base else "its files are removed; there was none before"
        return Outcome(Exit.UNDONE, f"{self.generation.id[:12]} was undone: {back}", (*failed, *lost), self.plan)

    def _tidy(self) -> Outcome:
        self._point()
        self.host.disk.remove(RESERVE)
        self.store.prune(self.store.state())
        self.host.system.disarm_undo()
        return Outcome(Exit.ACTIVE, f"{self.generation.id[:12]} is active", (), self.plan)


@contextmanager
def _signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into an undo, and outlive the terminal the activation may cut off."""

    def stop(number: int, _: FrameType | None) -> None:
        raise InterruptedActivationError(f"interrupted by {signal.Signals(number).name}")

    wanted: Mapping[signal.Signals, object] = {
        signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: signal.SIG_IGN,
    }  # fmt: skip
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _deaf() -> None:
    """An undo is not interrupted."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
