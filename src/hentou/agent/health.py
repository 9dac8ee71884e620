"""Whether a new generation works: its checks, its units, and that the machine is still connected."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from hentou.agent.host import Host
from hentou.effects import probe
from hentou.effects.system import UnitState
from hentou.generation.fragment import Check, CheckKind
from hentou.generation.generation import Manifest

INTERVAL = 0.5
SETTLE = 1.0
"""Seconds between two passing rounds once a unit was started: a program may crash just after its start."""

_PROBE_TIMEOUT = 5.0
_WORKERS = 8


def reachable(host: Host, addresses: Iterable[str]) -> bool:
    """Whether any of these addresses answers."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return any(pool.map(host.system.ping, addresses))


def wait(host: Host, manifest: Manifest, *, connected: bool, started: bool) -> tuple[str, ...]:
    """Look until all is well, for at most the generation's `health_timeout`; what still failed at its end.

    `connected` tells whether a peer answered before the switch: then one must answer after. A machine that was
    cut off before is not blamed for it. `started` asks for a second round after units had time to crash.
    """
    deadline = host.monotonic() + manifest.health_timeout
    settled = not started
    while True:
        if failed := _round(host, manifest, connected):
            if host.monotonic() >= deadline:
                return tuple(failed)
            host.sleep(INTERVAL)
        elif settled:
            return ()
        else:
            settled = True
            host.sleep(SETTLE)


def _round(host: Host, manifest: Manifest, connected: bool) -> list[str]:
    names = [check.target for check in manifest.checks if check.kind is CheckKind.UNIT]
    wanted = [unit.name for unit in manifest.units if unit.wanted_by]
    states = host.system.units(dict.fromkeys(names + wanted))
    failed = [
        _with_words(host, unit, f"{unit} {reason}")
        for unit in wanted
        if unit not in names and (reason := _broken(states.get(unit)))
    ]

    def examine(check: Check) -> str:
        if check.kind is CheckKind.UNIT:
            reason = _not_active(states.get(check.target))
            return _with_words(host, check.target, f"{check.target} {reason}") if reason else ""
        return _probe(host, check)

    with ThreadPoolExecutor(_WORKERS) as pool:
        results = zip(manifest.checks, pool.map(examine, manifest.checks), strict=True)
        failed += [f"{check.name}: {result}" for check, result in results if result]
    if connected and not reachable(host, manifest.peers):
        failed.append(f"connection: no peer answers any more ({', '.join(manifest.peers)}); one did before")
    return failed


def _probe(host: Host, check: Check) -> str:
    if check.kind is CheckKind.TCP:
        reason = probe.tcp(check.target, _PROBE_TIMEOUT)
    elif check.kind is CheckKind.HTTP:
        url, _, via = check.target.partition(" via ")
        reason = probe.http(url, via, _PROBE_TIMEOUT)
    else:
        reason = host.system.command(check.target.split(), _PROBE_TIMEOUT * 2)
    return f"{check.target}: {reason}" if reason else ""


def _broken(state: UnitState | None) -> str:
    if state is None:
        return "is unknown to systemd"
    if state.active == "failed":
        return "failed"
    return "keeps crashing" if state.sub == "auto-restart" else ""


def _not_active(state: UnitState | None) -> str:
    if broken := _broken(state):
        return broken
    if state is None or state.active == "active":
        return ""
    done = state.spared or (state.oneshot and not state.stays and state.ran)
    return "" if done and state.active == "inactive" else f"is {state.active}"


def _with_words(host: Host, unit: str, reason: str) -> str:
    words = host.system.last_words(unit)
    return f"{reason} ({words})" if words else reason
