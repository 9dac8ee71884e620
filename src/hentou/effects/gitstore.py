"""A Git repository as a store of objects and refs: read, written durably, and filled from others within limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hentou.effects import clock
from hentou.effects.calls import Calls
from hentou.effects.git import clean_environment
from hentou.effects.process import Result, harmless, run, run_bounded
from hentou.errors import HentouError

_DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")
"""By default Git leaves loose objects to the page cache: a ref could outlive the commit that it names."""

_CAREFUL = (
    "-c", "transfer.fsckObjects=true", "-c", "fetch.unpackLimit=1", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
    "-c", "core.bigFileThreshold=1m", "-c", "protocol.allow=never", "-c", "protocol.git.allow=always",
    "-c", "protocol.file.allow=always", "-c", "protocol.ssh.allow=user", "-c", "core.hooksPath=/dev/null",
)  # fmt: skip
"""Big blobs are streamed, not held in memory; objects are checked; no hook and no other transport runs."""

NOBODY = "hentou <hentou@localhost>"
_NOBODY = {
    "GIT_AUTHOR_NAME": "hentou", "GIT_AUTHOR_EMAIL": "hentou@localhost", "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_NAME": "hentou", "GIT_COMMITTER_EMAIL": "hentou@localhost", "GIT_COMMITTER_DATE": "@0 +0000",
}  # fmt: skip
"""The same content gives the same commit, whoever writes it and when."""

_MEMORY = 2**29
"""Bytes that a fetch may allocate: deltas of a few bytes can stand for objects of gigabytes."""

_LONGEST_REASON = 500
"""Characters of why a fetch failed: the other end words some of them."""

_LOCAL = 120.0
"""Seconds that a local question to Git may take."""


@dataclass(frozen=True)
class GitStore:
    """One repository, by its Git directory (for a working copy, its `.git`).

    One that is not `durable` may be damaged by a power cut, and is quicker.
    """

    path: Path
    durable: bool = True

    @classmethod
    def init(cls, path: Path, settings: Mapping[str, str] | None = None) -> GitStore:
        """Make a bare repository, for its owner alone, unless it is there; then set its `settings`."""
        store = cls(path)
        if not (path / "HEAD").exists():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
            run(["git", *_DURABLE, "init", "--quiet", "--bare", "--initial-branch=main", path], env=clean_environment())
        for name, value in (settings or {}).items():
            store.git("config", name, value)
        return store

    @property
    def _flags(self) -> tuple[str, ...]:
        return (*(_DURABLE if self.durable else ("-c", "core.fsync=none")), *_CAREFUL)

    def git(
        self,
        *words: str | Path,
        stdin: str | bytes | None = None,
        check: bool = True,
        timeout: float = _LOCAL,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run git on this repository, durably and without following anything that it holds."""
        command: list[str | Path] = ["git", "--git-dir", self.path, *self._flags, *words]
        return run(command, stdin=stdin, check=check, timeout=timeout, env={**clean_environment(), **(env or {})})

    def borrow(self, other: Path) -> None:
        """Read what `other` has as if it were here: nothing of it is copied or fetched again."""
        file = self.path / "objects/info/alternates"
        line = f"{other}/objects\n"
        if not file.exists() or file.read_text() != line:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(line)

    def refs(self, prefix: str) -> dict[str, str]:
        """Every ref at or under a prefix, with the object that it names."""
        listing = self.git("for-each-ref", "--format=%(refname) %(objectname)", prefix).stdout
        return dict(line.split(" ", 1) for line in listing.splitlines())

    def get(self, ref: str) -> str:
        """The object that a ref names; empty when there is no such ref."""
        return self.refs(ref).get(ref, "")

    def update(self, changes: Mapping[str, str], expected: Mapping[str, str] | None = None) -> None:
        """Set refs (delete those set to ""), all of them or none; `expected` are old values that must still hold.

        HentouError when one does not.
        """
        lines = ["start"]
        for ref, new in changes.items():
            old = f" {(expected or {})[ref] or '0' * 40}" if ref in (expected or {}) else ""
            lines.append(f"update {ref} {new}{old}" if new else f"delete {ref}{old}")
        self.git("update-ref", "--stdin", stdin="\n".join([*lines, "prepare", "commit", ""]))

    def has(self, commit: str) -> bool:
        """Whether this object and all that is needed to read it and its history are here."""
        if self.git("cat-file", "-e", f"{commit}^{{commit}}", check=False).status:
            return False
        return not self.git(
            "rev-list", "--objects", "--quiet", commit, "--not", "--all", "--alternate-refs", check=False
        ).status

    def read(self, commit: str, path: str, limit: int) -> bytes | None:
        """A file of a commit; None when it is not there, no file, or longer than `limit` bytes."""
        spec = f"{commit}:{path}"
        said = self.git("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=f"{spec}\n").stdout.split()
        if len(said) != 2 or said[0] != "blob" or int(said[1]) > limit:
            return None
        return self.raw("blob", spec)

    def raw(self, kind: str, spec: str, limit: int | None = None) -> bytes:
        """An object's own bytes; HentouError when it is absent, of another kind or longer than `limit` bytes."""
        if limit is not None:
            said = self.git("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=f"{spec}\n").stdout.split()
            if len(said) != 2 or said[0] != kind or int(said[1]) > limit:
                raise HentouError(f"Git has no {kind} {spec} of at most {limit} bytes")
        done = self.git("cat-file", kind, spec, check=False)
        if done.status:
            raise HentouError(f"Git has no {kind} {spec}", f"check it with `git --git-dir {self.path} fsck`")
        return done.raw

    def names(self, commit: str, folder: str = "") -> list[str]:
        """Names of the files in one folder of a commit, not below."""
        spec = f"{commit}:{folder}" if folder else commit
        done = self.git("ls-tree", "-z", "--name-only", spec, check=False)
        return done.stdout.split("\0")[:-1] if not done.status else []

    def parents(self, commit: str) -> tuple[str, ...]:
        """A commit's parents."""
        return tuple(self.git("rev-list", "--parents", "-n", "1", commit).stdout.split()[1:])

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` descends from `old`, or is it."""
        return not self.git("merge-base", "--is-ancestor", old, new, check=False).status

    def write_commit(self, files: Mapping[str, bytes], parents: Iterable[str] = (), message: str = "") -> str:
        """Write a commit of nobody's, at no time, with these files (`folder/name` or `name`); its hash."""
        folders: dict[str, list[str]] = {}
        for path, data in sorted(files.items()):
            blob = self.git("hash-object", "-w", "--stdin", stdin=data).stdout.strip()
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder, []).append(f"100644 blob {blob}\t{name}")
        top = folders.pop("", [])
        top += [f"040000 tree {self._tree(lines)}\t{folder}" for folder, lines in folders.items()]
        command = ["-c", "i18n.commitEncoding=UTF-8", "commit-tree", self._tree(top)]
        command += [*(word for parent in parents for word in ("-p", parent))]
        return self.git(*command, stdin=message, env=_NOBODY).stdout.strip()

    def _tree(self, lines: Iterable[str]) -> str:
        return self.git("mktree", stdin="".join(f"{line}\n" for line in lines)).stdout.strip()

    def fetch(
        self,
        source: str | Path,
        refspecs: Iterable[str],
        *,
        seconds: float,
        size: int,
        upload_pack: str = "git-upload-pack",
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Fetch from another repository, for at most `seconds`, writing no file of more than `size` bytes.

        `upload_pack` is the program that serves it there, `env` what a transport needs. Returns why it failed, empty
        when it did not. What a broken transfer leaves is swept by `sweep`.
        """
        limits = ["timeout", "--kill-after=2", str(seconds), "prlimit", f"--fsize={size}", f"--data={_MEMORY}"]
        command: list[str | Path] = ["git", "--git-dir", self.path, *self._flags, "fetch", "--quiet"]
        command += ["--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--recurse-submodules=no"]
        command += [f"--upload-pack={upload_pack}", "--", source]
        # Callers know Git's own words for some reasons.
        environment = {**clean_environment(), "LC_ALL": "C", **(env or {})}
        done = run_bounded([*limits, *command, *refspecs], timeout=seconds + 5, env=environment)
        if not done.status:
            return ""
        if done.status in (124, 137, -9):
            return f"gave less than it promised within {seconds:g} s"
        said = [harmless(line)[:_LONGEST_REASON] for line in done.stderr.splitlines() if line.strip()]
        text = next((line for line in said if line.startswith(("fatal:", "error:"))), "\n".join(said[-1:]))
        return text.removeprefix("fatal: ").removeprefix("error: ") or f"git fetch ended with status {done.status}"

    def sweep(self, above: int = -1) -> None:
        """Remove what transfers that were broken off left in the store of objects: files of more bytes than `above`."""
        for left in (*self.path.glob("objects/pack/tmp_*"), *self.path.glob("objects/??/tmp_obj_*")):
            with suppress(FileNotFoundError):
                if left.stat().st_size > above:
                    left.unlink()

    def unlock(self, seconds: float) -> None:
        """Remove the locks of commands that died, which Git would respect for ever: those not taken within `seconds`,
        by a clock that may have been set back or forth since.
        """
        for lock in (*self.path.glob("*.lock"), *self.path.glob("refs/**/*.lock")):
            with suppress(FileNotFoundError):
                if abs(clock.now().timestamp() - lock.stat().st_mtime) >= seconds:
                    lock.unlink()

    def flush(self) -> None:
        """Return once the names of what was written are durable too: Git flushes files, not their directories."""
        names = ("objects", "objects/pack", "refs", "refs/heads", "refs/hentou", ".")
        for folder in (self.path / name for name in names):
            if folder.is_dir():
                Calls().sync_directory(str(folder))

    def log(self, tip: str, *excluding: str) -> Iterator[str]:
        """Commits reachable from `tip` and from none of `excluding`, oldest first, following first parents only."""
        words = ["rev-list", "--first-parent", "--reverse", tip, *(f"^{commit}" for commit in excluding if commit)]
        yield from self.git(*words).stdout.split()
