"""Put back what an unconfirmed activation changed, from its pending record alone. Standard library only.

Idempotent: cut at any point, it is run again from the start. It needs no space that the activation did not set
aside, for what is new goes first, with the reserve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

from hentou.agent.names import Names
from hentou.agent.state import Pending, Saved, State
from hentou.agent.store import BASE, Store
from hentou.effects.disk import Disk
from hentou.errors import HentouError

RESERVE = f"{BASE}/reserve"
"""Space set aside while an activation is under way, so that a full disk cannot prevent its undo."""


def restore(store: Store) -> list[str]:
    """Bring the files of the pending activation's base back, durably; return what could not be restored.

    The pending record stays: the caller clears it when all is back.
    """
    state = store.state()
    if state.pending is None:
        return []
    return _Restorer(store, state, state.pending).run()


class _Restorer:
    def __init__(self, store: Store, state: State, pending: Pending) -> None:
        self.store = store
        self.disk: Disk = store.disk
        self.state = state
        self.pending = pending
        self.names = Names.read(store.disk)
        self.base = store.record(pending.base)
        self.problems: list[str] = []

    def run(self) -> list[str]:
        self.disk.remove(RESERVE)
        if self.pending.kept:
            self._clear_temporaries()
            self._each(sorted(self.pending.saved, reverse=True), self._take_away)
            self._each(sorted(self.pending.saved), self._put_back)
            self._each(self.base["directories"], self._directory)
            self._each(self.base["entries"], self._entry)
            self._each(sorted(self.pending.saved, reverse=True), self._attributes)
        self.disk.flush()
        return self.problems

    def _each(self, items: Iterable[Any], action: Callable[[Any], None]) -> None:
        for item in items:
            try:
                action(item)
            except HentouError as error:
                self.problems.append(error.message)

    def _clear_temporaries(self) -> None:
        owned = (*self.base["entries"], *self.base["directories"])
        paths = {item["path"] for item in owned} | set(self.pending.saved)
        self._each(sorted(paths), self.disk.clear_temporary)

    def _take_away(self, path: str) -> None:
        if self.pending.saved[path] is None:
            found = self.disk.stat(path)
            if found and found.kind == "directory":
                self.disk.remove_directory(path)
            elif found:
                self.disk.remove(path)

    def _put_back(self, path: str) -> None:
        saved = self.pending.saved[path]
        if saved is not None:
            put_saved(self.store, path, saved)

    def _attributes(self, path: str) -> None:
        saved = self.pending.saved[path]
        if saved is not None and saved.kind == "directory":
            put_saved(self.store, path, saved)

    def _directory(self, item: dict[str, Any]) -> None:
        uid, gid = self.names.ids(item["path"], item["owner"], item["group"])
        found = self.disk.stat(item["path"])
        if found is not None and found.kind != "directory":
            self.disk.remove(item["path"])
            found = None
        if found is None:
            self.disk.make_directory(item["path"])
        if found is None or (found.mode, found.uid, found.gid) != (item["mode"], uid, gid):
            self.disk.attributes(item["path"], item["mode"], uid, gid)

    def _entry(self, item: dict[str, Any]) -> None:
        path = item["path"]
        if path in self.pending.left:
            return
        found = self.disk.stat(path)
        if found and found.kind == "directory":
            # The generation that is undone had files below it, which are gone already.
            self.disk.remove_directory(path)
        if item["target"]:
            if not (found and found.kind == "link" and self.disk.readlink(path) == item["target"]):
                self.disk.make_directory(path.rpartition("/")[0] or "/")
                self.disk.symlink(path, item["target"])
            return
        wanted = (item["mode"], *self.names.ids(path, item["owner"], item["group"]))
        data = self._standing(item) if found and found.kind == "file" else None
        if data is not None and found and (found.mode, found.uid, found.gid) == wanted:
            return
        self.disk.make_directory(path.rpartition("/")[0] or "/")
        content = self.store.content(str(self.pending.base), item["digest"]) if data is None else data
        # Whole even where only the mode differs: a mode alone is not durable with the directory's flush.
        self.disk.write(path, content, *wanted)

    def _standing(self, item: dict[str, Any]) -> bytes | None:
        """The bytes in place, where they are the generation's or an adopted edit."""
        data = self.disk.read(item["path"])
        digest = sha256(data).hexdigest()
        adopted = self.state.adopted.get(item["path"])
        return data if digest == item["digest"] or (adopted and digest == adopted.edited) else None


def put_saved(store: Store, path: str, saved: Saved) -> None:
    """Put back what was found at a path before hentou came, unless it is there already."""
    disk, found = store.disk, store.disk.stat(path)
    wanted = (saved.mode, saved.uid, saved.gid)
    same = found is not None and found.kind == saved.kind
    if found is not None and not same and "directory" in (found.kind, saved.kind):
        clear = disk.remove_directory if found.kind == "directory" else disk.remove
        clear(path)
    if saved.kind == "directory":
        if not same:
            disk.make_directory(path)
        if found is None or (found.mode, found.uid, found.gid) != wanted:
            disk.attributes(path, *wanted)
    elif saved.kind == "link":
        if not (same and disk.readlink(path) == saved.target):
            disk.symlink(path, saved.target)
    elif saved.kind == "file":
        unchanged = same and disk.digest(path) == saved.digest
        if not unchanged or (found and (found.mode, found.uid, found.gid) != wanted):
            disk.write(path, store.original(saved.digest), *wanted)
