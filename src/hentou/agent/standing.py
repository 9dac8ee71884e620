"""Where this machine stands, gathered from what its parts wrote down; nothing is changed by looking.

standing(host, before=None) -> Standing
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hentou.agent import alarms, detached, synced
from hentou.agent.facts import look
from hentou.agent.host import Host
from hentou.agent.local import REPOSITORY
from hentou.agent.members import members
from hentou.agent.state import State
from hentou.agent.trusted import TrustStore
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.generation.generation import Manifest
from hentou.ledger.heads import Head, heads
from hentou.ledger.journals import Journal, frozen, frozen_text
from hentou.trust.acceptance import Trust
from hentou.trust.journal import Standing, key_id

MOST = 20
LONGEST = 300
"""Items and characters: a standing is repeated in every entry."""

MOST_HEADS = 1000
"""Steps back in which the active commit is looked for."""


def standing(host: Host, before: Standing | None = None) -> Standing:
    """Where this machine stands now; `before` is what it said last, which saves searching."""
    state, trust, sync = host.store.state(), _trust(host), synced.load(host.disk)
    manifest = host.manifest(state.current) if state.current and host.store.has(state.current) else None
    held_off = detached.current(host)
    refused = sync.refused
    return Standing(
        sequence=trust.sequence if trust else 0,
        head=trust.head if trust else "",
        epoch=trust.roster.epoch if trust else 0,
        active=state.commit,
        active_sequence=_sequence(host, state.commit, trust, before),
        generation=state.current or "",
        since=state.since,
        failed=_failed(host, state, sync.failed),
        undone=_undone(state),
        held=_held(host, state, manifest),
        refused=_short(f"{refused.get('message', '')} (from {refused.get('from', 'somebody')})") if refused else "",
        detached={name: _short(text) for name, text in held_off.record.items()} if held_off else {},
        alarms=_few([*alarms.current(host), *_frozen(host)]),
        down=_few(_down(host, manifest)),
    )


def _trust(host: Host) -> Trust | None:
    try:
        return TrustStore(host).trust()
    except HentouError:
        # Damaged: this machine accepts nothing any more, and says so itself.
        return None


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _few(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_short, texts))[:MOST]


def _sequence(host: Host, commit: str, trust: Trust | None, before: Standing | None) -> int:
    """As which step the active commit was accepted; 0 when it never was, or that cannot be found out."""
    if not commit or trust is None:
        return 0
    if commit == trust.head:
        return trust.sequence
    if before and commit == before.active and before.active_sequence:
        return before.active_sequence
    for accepted in reversed(synced.load(host.disk).accepted):
        if accepted.head == commit:
            return accepted.sequence
    found = _heads(host)
    return next((head.statement.sequence for head in found if head.statement.head == commit), 0)


def _heads(host: Host) -> list[Head]:
    with suppress(HentouError):
        return heads(store(host), MOST_HEADS) if has_store(host) else []
    return []


def has_store(host: Host) -> bool:
    """Whether this machine has its repository yet."""
    return host.disk.stat(f"{REPOSITORY}/HEAD") is not None


def store(host: Host) -> GitStore:
    """The machine's own repository: what it has verified."""
    return GitStore(Path(host.disk.at(REPOSITORY)))


def _failed(host: Host, state: State, unusable: Mapping[str, str]) -> dict[str, str]:
    """Why commits are not tried again, by their hashes; by the generation's where it came from no commit."""
    failure = state.last_failure
    found = dict(unusable)
    for generation, reason in state.quarantined.items():
        told = failure is not None and failure.id == generation
        commit = failure.commit if failure and told else host.store.about(generation).get("commit", "")
        found[commit or generation] = "; ".join(failure.reasons) if failure and told else reason
    return {name: _short(reason) for name, reason in list(found.items())[-MOST:]}


def _undone(state: State) -> str:
    """The commit (or generation) that was undone last, while nothing was activated since."""
    failure = state.last_failure
    return (failure.commit or failure.id) if failure and failure.at >= state.since else ""


def _held(host: Host, state: State, manifest: Manifest | None) -> tuple[str, ...]:
    """Files whose hand edits held the last activation, as far as they still differ from this generation's."""
    return _few(path for path in sorted(state.held) if _edited(host, manifest, path))


def _edited(host: Host, manifest: Manifest | None, path: str) -> bool:
    entry, found = manifest.by_path.get(path) if manifest else None, look(host, path)
    if entry is None or found is None:
        return True
    return entry.target != found.target if entry.target else entry.digest != found.digest


def _frozen(host: Host) -> list[str]:
    keys = members(host.disk).journals
    stopped: frozenset[Journal] = frozenset()
    # A repository that is damaged must not keep this machine from saying where it stands.
    with suppress(HentouError):
        stopped = frozen(store(host)) if has_store(host) else stopped
    return [frozen_text(machine) for machine, key in sorted(keys.items()) if Journal(machine, key_id(key)) in stopped]


def _down(host: Host, manifest: Manifest | None) -> list[str]:
    names = [unit.name for unit in manifest.units if unit.wanted_by] if manifest else []
    try:
        states = host.system.units(names)
    except HentouError:
        return []
    # What starts or stops just now is no news.
    return sorted(name for name, state in states.items() if state.active == "failed")
