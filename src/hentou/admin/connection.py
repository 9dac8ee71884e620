"""A machine that can be spoken to: commands there, and Git to and from it, over SSH or in a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hentou.effects import ssh
from hentou.effects.gitstore import GitStore
from hentou.effects.process import Result, harmless
from hentou.errors import HentouError

INBOX = "/var/lib/hentou/inbox.git"
REPOSITORY = "/var/lib/hentou/repo.git"

_PUSH = 300.0
"""Seconds that a push may take: a change with pictures over an ADSL line."""

Runner = Callable[[Sequence[str], bytes, float], Result]


class UnreachableError(HentouError):
    """A machine that answers by none of its ways."""


class Connection(Protocol):
    """A machine that can be spoken to. `way` says by which way, for people."""

    machine: str
    way: str

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60.0, *, root: bool = False) -> Result:
        """Run a program there, as root with `root`; its end, which is not checked."""

    def push(self, refspecs: Iterable[str], repository: str = INBOX) -> str:
        """Push from the working copy; why it failed, empty when it did not."""

    def fetch(
        self, refspecs: Iterable[str], repository: str = REPOSITORY, *, seconds: float = 120, size: int = 2**28
    ) -> str:
        """Fetch into the working copy, within limits; why it failed, empty when it did not."""

    def close(self) -> None:
        """End it."""


class Reaching(Protocol):
    """Whatever leads to machines: SSH, or in tests directories."""

    def connect(self, machine: str) -> Connection:
        """A connection to one machine; UnreachableError when no way leads there."""

    def all(self, machines: Iterable[str] = ()) -> Mapping[str, Connection | UnreachableError]:
        """Connections to these machines (every enrolled one by default), all at once."""

    def any(self) -> Connection:
        """The first machine that answers; UnreachableError when none does."""

    def close(self) -> None:
        """End every connection."""


class SshConnection:
    """A machine at the other end of an open SSH link."""

    def __init__(self, store: GitStore, machine: str, way: str, link: ssh.Link) -> None:
        self.machine = machine
        self.way = way
        self._store = store
        self._link = link
        self._sudo = [] if link.target.user == "root" else ["sudo", "-n"]

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60.0, *, root: bool = False) -> Result:
        """Run a program there, as root with `root`."""
        return self._link.run([*self._sudo, *argv] if root else argv, stdin, timeout)

    def push(self, refspecs: Iterable[str], repository: str = INBOX) -> str:
        """Push over the link, served as root."""
        served = f"--receive-pack={' '.join([*self._sudo, 'git', 'receive-pack'])}"
        return _push(self._store, self._url(repository), refspecs, served, self._link.environment)

    def fetch(
        self, refspecs: Iterable[str], repository: str = REPOSITORY, *, seconds: float = 120, size: int = 2**28
    ) -> str:
        """Fetch over the link, served as root."""
        served = " ".join([*self._sudo, "git", "upload-pack"])
        return self._store.fetch(
            self._url(repository), refspecs, seconds=seconds, size=size, upload_pack=served, env=self._link.environment
        )

    def _url(self, repository: str) -> str:
        return f"ssh://{self._link.target.alias}{repository}"

    def close(self) -> None:
        """End the link."""
        self._link.close()


class DirectoryConnection:
    """A machine whose root file system is a directory here; `run` runs a program in it."""

    def __init__(self, store: GitStore, machine: str, root: Path, run: Runner, way: str = "a directory") -> None:
        self.machine = machine
        self.way = way
        self._store = store
        self._root = root
        self._run = run

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60.0, *, root: bool = False) -> Result:  # noqa: ARG002
        """Run a program there."""
        return self._run(argv, stdin, timeout)

    def push(self, refspecs: Iterable[str], repository: str = INBOX) -> str:
        """Push into a repository of the directory."""
        return _push(self._store, str(self._root / repository.lstrip("/")), refspecs)

    def fetch(
        self, refspecs: Iterable[str], repository: str = REPOSITORY, *, seconds: float = 120, size: int = 2**28
    ) -> str:
        """Fetch from a repository of the directory."""
        return self._store.fetch(self._root / repository.lstrip("/"), refspecs, seconds=seconds, size=size)

    def close(self) -> None:
        """Nothing is open."""


def _push(
    store: GitStore, url: str, refspecs: Iterable[str], served: str = "", env: Mapping[str, str] | None = None
) -> str:
    words = ["push", "--quiet", "--porcelain", *([served] if served else []), "--", url, *refspecs]
    done = store.git(*words, check=False, timeout=_PUSH, env=env)
    if not done.status:
        return ""
    # Git tells a refused ref on standard output, everything else on standard error.
    refused = [line.split("\t")[-1] for line in done.stdout.splitlines() if line.startswith("!")]
    said = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:", "remote:", "sudo:"))]
    return harmless("; ".join(refused or said[:2])) or f"git push ended with status {done.status}"
