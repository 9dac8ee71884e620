"""Before an activation touches files: note what is there that the current generation does not own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from hentou.agent.certificates import paths_of
from hentou.agent.host import Host
from hentou.agent.restore import RESERVE
from hentou.agent.state import Pending, Saved, State
from hentou.generation.fragment import Certificate
from hentou.generation.generation import Manifest
from hentou.generation.step import Step

RESERVE_FLOOR = 256 * 1024
"""For directories, the state file and what the file system rounds up."""


def keep(host: Host, pending: Pending, old: Manifest | None, new: Manifest, steps: Iterable[Step]) -> Pending:
    """The pending record with everything found, durably copied, and space set aside to put it back."""
    steps = tuple(steps)
    paths = _touched(old, new, steps)
    saved: dict[str, Saved | None] = {}
    made = frozenset(host.store.state().made)
    for path in sorted(paths):
        # A folder that hentou made itself was not found: the generation before makes it again.
        saved[path] = None if path in made and path in new.by_path else _save(host, path)
        if saved[path] is None:
            saved |= dict.fromkeys(_missing_parents(host, path))
    host.disk.flush()
    host.disk.reserve(RESERVE, _space(host, old, steps, saved.values()))
    return replace(pending, kept=True, saved=saved)


def _touched(old: Manifest | None, new: Manifest, steps: Iterable[Step]) -> set[str]:
    owned = {entry.path for entry in old.entries} | {item.path for item in old.directories} if old else set()
    paths = {entry.path for entry in new.entries} | {item.path for item in new.directories}
    issued = {path for s in steps if isinstance(s.subject, Certificate) for path in paths_of(s.subject)}
    return (paths | issued) - owned


def _save(host: Host, path: str) -> Saved | None:
    found = host.disk.stat(path)
    if found is None:
        return None
    digest = host.store.keep_original(host.disk.read(path)) if found.kind == "file" else ""
    target = host.disk.readlink(path) if found.kind == "link" else ""
    return Saved(found.kind, found.mode, found.uid, found.gid, digest, target)


def _missing_parents(host: Host, path: str) -> list[str]:
    parents = (str(folder) for folder in PurePosixPath(path).parents)
    return [folder for folder in parents if host.disk.stat(folder) is None]


def _space(host: Host, old: Manifest | None, steps: Iterable[Step], saved: Iterable[Saved | None]) -> int:
    before = old.by_path if old else {}
    sizes = [before[step.target].size for step in steps if step.target in before]
    copies = {item.digest for item in saved if item and item.digest}
    sizes += [len(host.store.original(digest)) for digest in copies]
    return RESERVE_FLOOR + sum(size + 4096 for size in sizes)


def confirmed(
    host: Host,
    state: State,
    new: Manifest,
    commit: str,
    *,
    overwritten: frozenset[str] = frozenset(),
    leaving: str = "",
) -> State:
    """The state once the pending generation is confirmed and the hand edits `overwritten` are gone.

    `leaving` is why the generation before is not to be activated again by itself, if it is not.
    """
    pending = state.pending
    if pending is None:
        return state
    failure = state.last_failure
    owned = set(new.by_path) | {item.path for item in new.directories}
    found = {path: saved for path, saved in pending.saved.items() if saved}
    made = {path for path, saved in pending.saved.items() if saved is None} | set(state.made)
    adopted = {
        path: edit
        for path, edit in state.adopted.items()
        if path not in overwritten and path in new.by_path and new.by_path[path].says in edit.instead_of
    }
    left = {state.current: leaving} if leaving and state.current and state.current != pending.id else {}
    return replace(
        state,
        current=pending.id,
        previous=state.previous if pending.id == state.current else state.current,
        since=state.since if pending.id == state.current else host.moment(),
        commit=commit,
        pending=None,
        # A generation that failed stays refused until a newer one arrived; this is the newer one, or an older.
        quarantined={**state.quarantined, **left} if leaving or pending.id == state.current else {},
        last_failure=None if failure and failure.id == pending.id else failure,
        adopted=adopted,
        held=state.held if pending.id == state.current else {},
        originals={path: saved for path, saved in (found | dict(state.originals)).items() if path in owned},
        made=tuple(sorted(path for path in made - owned if _is_directory(host, path))),
    )


def _is_directory(host: Host, path: str) -> bool:
    found = host.disk.stat(path)
    return found is not None and found.kind == "directory"
