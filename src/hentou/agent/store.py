"""Generations and state on a machine's disk, under /var/lib/hentou. Standard library only.

generations/ID/manifest.json   what one generation holds; written last, so that it says "complete"
generations/ID/files/DIGEST    the bytes of its files
generations/ID/about.json      commit and time, for people
originals/DIGEST               bytes found where hentou put its own files
overwritten/TIME/PATH          hand edits that were dropped
state.json                     replaced as a whole: the one commit point
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from typing import Any

from hentou.agent.state import State
from hentou.effects.disk import Disk
from hentou.errors import HentouError

BASE = "/var/lib/hentou"
KEPT_GENERATIONS = 5
"""Besides the current one and the one before it."""


class Store:
    """What hentou keeps on one machine."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def state(self) -> State:
        """What the agent remembers; a fresh state on a machine without any."""
        data = self.disk.read_or_none(f"{BASE}/state.json")
        if data is None:
            return State()
        try:
            return State.parse(data)
        except (ValueError, TypeError, KeyError, AttributeError) as broken:
            raise HentouError(
                f"{BASE}/state.json cannot be read: {broken}",
                f"move it away and run `hentou converge`; generations are kept in {BASE}/generations",
            ) from broken

    def save(self, state: State) -> None:
        """Replace the state; it is durable on return."""
        self.disk.replace(f"{BASE}/state.json", state.json, 0o600)

    def prepare(self) -> None:
        """Make the store's own directories: what may hold secrets is for root alone."""
        if self.disk.stat(f"{BASE}/overwritten") is not None:
            return
        self.disk.make_directory(BASE)
        self.disk.attributes(BASE, 0o711, 0, 0)
        for name in ("generations", "originals", "overwritten"):
            self.disk.make_directory(f"{BASE}/{name}")
            self.disk.attributes(f"{BASE}/{name}", 0o700, 0, 0)
        self.disk.flush()

    def lock(self) -> AbstractContextManager[None]:
        """Be the only one that changes this machine; LockedError when another process is."""
        self.prepare()
        return self.disk.lock(f"{BASE}/lock", "another hentou command is changing this machine")

    def has(self, generation: str) -> bool:
        """Whether a generation is here, whole."""
        return self.disk.stat(f"{_folder(generation)}/manifest.json") is not None

    def manifest_json(self, generation: str) -> bytes:
        """A generation's manifest; HentouError when it is not here."""
        data = self.disk.read_or_none(f"{_folder(generation)}/manifest.json")
        if data is None:
            raise HentouError(f"generation {generation[:12]} is not on this machine", "see `hentou generations`")
        return data

    def record(self, generation: str | None) -> dict[str, Any]:
        """A generation's manifest as plain data; an empty one for None."""
        if generation is None:
            return {"entries": [], "directories": [], "certificates": []}
        found = json.loads(self.manifest_json(generation))
        if not isinstance(found, dict):
            raise HentouError(f"the manifest of generation {generation[:12]} is damaged")
        return found

    def content(self, generation: str, digest: str) -> bytes:
        """The bytes of a generation's file, verified."""
        data = self.disk.read(f"{_folder(generation)}/files/{digest}")
        if sha256(data).hexdigest() != digest:
            raise HentouError(f"a file of generation {generation[:12]} is damaged on disk ({digest[:12]})")
        return data

    def stage(
        self,
        generation: str,
        manifest: bytes,
        contents: Mapping[str, bytes],
        about: Mapping[str, str],
        like: str | None,
    ) -> None:
        """Put a whole generation on disk, durably; what `like` already holds is linked, not copied."""
        if self.has(generation):
            return
        folder = _folder(generation)
        try:
            self.disk.make_directory(f"{folder}/files")
            for digest, data in contents.items():
                self._stage_file(f"{folder}/files/{digest}", data, like, digest)
            self.disk.write(f"{folder}/about.json", json.dumps(dict(about), sort_keys=True).encode(), 0o600)
            self.disk.flush()
            self.disk.replace(f"{folder}/manifest.json", manifest, 0o600)
        except HentouError:
            self.disk.remove_tree(folder)
            raise

    def _stage_file(self, path: str, data: bytes, like: str | None, digest: str) -> None:
        source = f"{_folder(like)}/files/{digest}" if like else ""
        if source and self.disk.stat(source):
            self.disk.link(source, path)
        else:
            self.disk.write(path, data, 0o600)

    def keep_original(self, data: bytes) -> str:
        """Put aside bytes found on the machine; their digest. Durable after the disk's `flush`."""
        digest = sha256(data).hexdigest()
        if self.disk.stat(f"{BASE}/originals/{digest}") is None:
            self.disk.write(f"{BASE}/originals/{digest}", data, 0o600)
        return digest

    def original(self, digest: str) -> bytes:
        """Bytes that were put aside."""
        return self.disk.read(f"{BASE}/originals/{digest}")

    def keep_overwritten(self, path: str, data: bytes, when: str) -> str:
        """Keep a hand edit that is about to go; where it is kept, durably."""
        place = f"{BASE}/overwritten/{when}{path}"
        self.disk.make_directory(place.rpartition("/")[0])
        self.disk.write(place, data, 0o600)
        self.disk.flush()
        return place

    def about(self, generation: str) -> dict[str, str]:
        """A generation's commit and time."""
        data = self.disk.read_or_none(f"{_folder(generation)}/about.json")
        return dict(json.loads(data)) if data else {}

    def generations(self) -> list[str]:
        """Ids of the generations that are here whole, newest first."""
        found = [name for name in self.disk.names(f"{BASE}/generations") if self.has(name)]
        return sorted(found, key=lambda name: self.about(name).get("at", ""), reverse=True)

    def find(self, prefix: str) -> str:
        """The one generation whose id starts so; HentouError for none or several."""
        found = [name for name in self.generations() if name.startswith(prefix)]
        if len(found) != 1:
            what = "no generation" if not found else "more than one generation"
            raise HentouError(f"{what} starts with {prefix!r}", "see `hentou generations`")
        return found[0]

    def prune(self, state: State) -> None:
        """Forget generations beyond the newest few, half-staged ones, and originals nobody needs."""
        whole = self.generations()
        needed = {state.current, state.previous, *whole[:KEPT_GENERATIONS]}
        for name in self.disk.names(f"{BASE}/generations"):
            if name not in needed:
                self.disk.remove_tree(_folder(name))
        wanted = {saved.digest for saved in _all_saved(state)}
        for name in self.disk.names(f"{BASE}/originals"):
            if name not in wanted:
                self.disk.remove(f"{BASE}/originals/{name}")
        self.disk.flush()


def _all_saved(state: State) -> Iterable[Any]:
    yield from state.originals.values()
    if state.pending:
        yield from (saved for saved in state.pending.saved.values() if saved)


def _folder(generation: str) -> str:
    return f"{BASE}/generations/{generation}"
