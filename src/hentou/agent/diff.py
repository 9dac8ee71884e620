"""Hand edits as differences from what the current generation put there."""

from __future__ import annotations

from difflib import unified_diff

from hentou.agent.host import Host
from hentou.generation.generation import Entry

_NO_END = "\\ No newline at end of file\n"


def difference(host: Host, path: str) -> str:
    """What somebody changed in an owned file, as a unified difference."""
    state = host.store.state()
    manifest = host.manifest(state.current)
    entry = manifest.by_path.get(path) if manifest else None
    if entry is None or state.current is None:
        return f"{path} is not a file of the current generation"
    found = host.disk.stat(path)
    if entry.is_link or found is None or found.kind != "file":
        return _kinds(host, entry)
    if not found.mode & 0o004:
        # Référents look at this too, and their eyes are not root's.
        return f"{path} differs; it is not shown, for not everybody may read it"
    before, after = host.store.content(state.current, entry.digest), host.disk.read(path)
    return unified(before, after, f"{path} (generation)", f"{path} (on disk)").rstrip("\n")


def _kinds(host: Host, entry: Entry) -> str:
    found = host.disk.stat(entry.path)
    here = "nothing" if found is None else f"a {found.kind}"
    if found and found.kind == "link":
        here = f"a link to {host.disk.readlink(entry.path)}"
    wanted = f"a link to {entry.target}" if entry.is_link else "a file"
    return f"{entry.path} is {here}; the generation has {wanted} there"


def unified(before: bytes, after: bytes, old: str, new: str) -> str:
    """A unified difference that patch(1) and `git apply` accept; one sentence where bytes are not text."""
    if not (is_text(before) and is_text(after)):
        return f"binary files differ: {len(before)} bytes in {old}, {len(after)} bytes in {new}\n"
    lines = unified_diff(_lines(before), _lines(after), old, new)
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_END}" for line in lines)


def _lines(data: bytes) -> list[str]:
    """Lines with their ends; only line feeds end a line, as for patch(1)."""
    parts = data.decode().split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8 without NUL, which is what patch(1) and people can read."""
    if b"\0" in data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
