"""Hand edits: which there are, keeping one as a patch to the repository, or dropping it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from hentou.agent.activate import Options, Outcome, activate
from hentou.agent.facts import gather
from hentou.agent.gitpatch import git_patch
from hentou.agent.host import Host
from hentou.agent.state import AdoptedEdit
from hentou.errors import HentouError
from hentou.generation.generation import Entry, Generation, Manifest
from hentou.generation.plan import plan


def edits(host: Host, *, adopted: bool = False) -> tuple[Entry, ...]:
    """Entries of the current generation that somebody edited; those already adopted only if asked for."""
    manifest = _current(host)
    paths = {item.path for item in plan(manifest, manifest, gather(host, manifest, manifest)).held}
    if adopted:
        paths |= set(host.store.state().adopted)
    return tuple(entry for entry in manifest.entries if entry.path in paths)


def chosen(host: Host, paths: tuple[str, ...], *, adopted: bool = False) -> tuple[Entry, ...]:
    """The edits at these paths, or all for none; HentouError for a path that is not edited."""
    found = {entry.path: entry for entry in edits(host, adopted=adopted)}
    for path in paths:
        if path not in found:
            known = path in _current(host).by_path
            why = "is as hentou wrote it" if known else "is no file of the current generation"
            raise HentouError(f"{path} {why}", f"edited: {', '.join(found) or 'nothing'}")
    return tuple(found[path] for path in paths) if paths else tuple(found.values())


def adopt(host: Host, entry: Entry) -> str:
    """Keep an edit from now on; the patch that brings it into the repository.

    Where the edit holds a generation back, it also stands for what that one says about the file, so that it is
    held again only once the repository says something else still. The patch is empty where that generation has
    no such file: the edit then becomes a file of the machine's own.
    """
    stat = host.disk.stat(entry.path)
    if entry.is_link or stat is None or stat.kind != "file":
        raise HentouError(
            f"{entry.path} is no longer a plain file, and only files can be adopted",
            f"change the repository by hand, or run `hentou overwrite {entry.path}`",
        )
    state = host.store.state()
    manifest = _current(host)
    data = host.disk.read(entry.path)
    before = host.store.content(str(state.current), entry.digest) if entry.copied_from else None
    place = entry.copied_from or f"overrides/{manifest.machine}{entry.path}"
    wanted = state.held.get(entry.path, entry.says)
    edit = AdoptedEdit(sha256(data).hexdigest(), tuple(dict.fromkeys((entry.says, wanted))))
    host.store.save(replace(state, adopted={**state.adopted, entry.path: edit}))
    return git_patch(place, before, data) if wanted else ""


def overwrite(host: Host, entries: tuple[Entry, ...]) -> tuple[list[str], Outcome]:
    """Put the generation's own files back; where the edits are kept, and how it went."""
    state = host.store.state()
    when = host.now().strftime("%Y%m%dT%H%M%SZ")
    kept = [_keep(host, entry.path, when) for entry in entries]
    manifest = _current(host)
    options = Options(commit=state.commit, retry=True, overwrite=frozenset(entry.path for entry in entries))
    return kept, activate(host, Generation(manifest, {}), options)


def _keep(host: Host, path: str, when: str) -> str:
    found = host.disk.stat(path)
    if found and found.kind == "link":
        return host.store.keep_overwritten(path, host.disk.readlink(path).encode(), when)
    if found is None or found.kind != "file":
        raise HentouError(f"{path} is a {found.kind if found else 'gap'}, not a file", "move it away by hand")
    return host.store.keep_overwritten(path, host.disk.read(path), when)


def _current(host: Host) -> Manifest:
    manifest = host.manifest(host.store.state().current)
    if manifest is None:
        raise HentouError("this machine has no generation yet", "run `hentou converge`")
    return manifest
