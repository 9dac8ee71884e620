"""Adopt a machine that runs plain Debian: install hentou over SSH, tell it whom it obeys, and enrol it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from hentou import compose
from hentou.admin import enrol as enrolment
from hentou.admin.newcomer import QUESTIONS, Newcomer, judge
from hentou.admin.reach import Runner
from hentou.admin.workcopy import WorkCopy, found
from hentou.agent import carried
from hentou.effects import ssh
from hentou.effects.process import Result, run
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.model.types import Machine
from hentou.trust import identity
from hentou.trust.roster import fingerprint

BUNDLE = "/opt/hentou-bundle"
"""Where the bundle is kept on a machine, so that the next one costs only what changed."""

_ONE_MACHINES = (carried.MACHINE, carried.TRUST, carried.REPOSITORY)
"""What a bundle for one machine has besides: here the connection says who it is."""

_INSTALL = 900.0
_QUICK = 60.0
_SLOWEST = 25_000.0
"""Bytes a second of the slowest line over which a bundle is sent."""


@dataclass(frozen=True)
class Address:
    """An `ssh://[USER@]HOST[:PORT]`."""

    host: str
    port: int = 22
    user: str = "root"

    @classmethod
    def parse(cls, text: str) -> Address:
        """From what a person typed; HentouError when it is none."""
        try:
            parts = urlsplit(text)
            port = parts.port or 22
        except ValueError:
            parts, port = urlsplit(""), 22
        if parts.scheme != "ssh" or not parts.hostname or parts.path not in ("", "/") or parts.hostname.startswith("-"):
            raise HentouError(f"{text} is no ssh://[USER@]HOST[:PORT]", "give one such as ssh://root@192.168.1.63")
        return cls(parts.hostname, port, parts.username or "root")

    def __str__(self) -> str:
        """As it is noted for `hentou publish`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{self.user}@{host}{f':{self.port}' if self.port != 22 else ''}"


def host_key(address: Address) -> str:
    """The ed25519 key that an SSH server shows, not believed yet: `ssh-ed25519 AAAA…`. HentouError for none."""
    words = ["ssh-keyscan", "-T", "10", "-t", "ed25519", "-p", str(address.port), address.host]
    done = run(words, check=False, timeout=30)
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] == "ssh-ed25519":
            return " ".join(words[1:3])
    where = f"{address.host}, port {address.port}"
    raise HentouError(f"no SSH server with an ed25519 key answers at {where}", "is it on, and is that its address?")


def known(address: Address, key: str) -> bool:
    """Whether this person's own known_hosts has this very key for that server: it was compared before."""
    name = address.host if address.port == 22 else f"[{address.host}]:{address.port}"
    listed = run(["ssh-keygen", "-F", name], check=False, timeout=10).stdout
    return any(key in " ".join(line.split()[1:3]) for line in listed.splitlines() if not line.startswith(("#", "@")))


@contextmanager
def root_on(address: Address, alias: str, key: str, own: Path | None, *, interactive: bool) -> Iterator[Runner]:
    """A way to run programs as root on a machine whose host key is this one; `own` is the private key to show there.

    HentouError when nobody gets in, or not as root.
    """
    folder = ssh.private_folder()
    link = ssh.Link(folder, "adopt", ssh.Target(alias, address.host, address.port, address.user), own)
    try:
        (folder / "known_hosts").write_text(f"{alias} {key}\n")
        why = link.open()
        if "Permission denied" in why and interactive:
            why = link.open(interactive=True)
        if why:
            raise HentouError(f"{address}: {why}", f"try it alone: ssh -p {address.port} {address.user}@{address.host}")
        sudo = [] if address.user == "root" else ["sudo", "-n"]
        if link.run([*sudo, "true"], timeout=_QUICK).status:
            hint = "sign in as root, or let sudo ask no password there (NOPASSWD)"
            raise HentouError(f"{address.user} does not become root on {address.host}", hint)
        yield lambda words, stdin, timeout: link.run([*sudo, *words], stdin, timeout)
    finally:
        link.close()
        ssh.remove_folder(folder)


@dataclass(frozen=True)
class Adopted:
    """What an adoption did; `enrolled` is None where the machine was enrolled with these keys before."""

    machine: str
    step: int
    enrolled: enrolment.Enrolled | None


class Adoption:
    """One machine's way into the collective, over `root`, which runs programs there as root."""

    def __init__(
        self, repository: Path, machine: str, root: Runner, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self._copy = WorkCopy(repository)
        self._repository = repository
        self._root = root
        self._tell = tell
        self._pinned = False
        self.wanted: Machine = enrolment.member(compose.load(DirectoryTree(repository)), machine)

    def examine(self) -> Newcomer:
        """Ask the machine what it is; HentouError when it cannot become this one. Nothing is changed."""
        trust = self._copy.trust
        newcomer = Newcomer.parse(self._run(["sh", "-s"], QUESTIONS.encode(), what="tell what it is").stdout)
        judge(newcomer, self.wanted, trust.repository if trust else "")
        # What it accepted since it was pinned is newer than what this laptop would tell it.
        self._pinned = bool(newcomer.repository)
        return newcomer

    def install(self, bundle: Path, newcomer: Newcomer) -> None:
        """Bring what the machine lacks of the bundle, with the packages that it needs, and install it."""
        if newcomer.packages:
            self._tell(f"installing {', '.join(newcomer.packages)}")
            self._packages(newcomer.packages)
        self._send(bundle)
        self._tell("installing hentou")
        self._run(["sh", f"{BUNDLE}/install.sh"], timeout=_INSTALL, what="install hentou")

    def _packages(self, names: Sequence[str]) -> None:
        apt = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "--quiet",
            "--yes",
            "--option=DPkg::Lock::Timeout=60",
        ]
        install = [*apt, "install", "--no-install-recommends", *names]
        if not self._root(install, b"", _INSTALL).status:
            return
        self._root([*apt, "update"], b"", _INSTALL)
        done = self._root(install, b"", _INSTALL)
        if done.status:
            said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            raise HentouError(
                f"{self.wanted.name} cannot install {', '.join(names)}: {' '.join(said[:2]) or 'apt-get failed'}",
                f"bring it online for a moment, then as root there: apt-get install {' '.join(names)}",
            )

    def _send(self, bundle: Path) -> None:
        """Make the machine's copy of the bundle the same as this one."""
        listed = "mkdir -p -m 0700 DIR && cd DIR && find . -type f -exec sha256sum -- {} +".replace("DIR", BUNDLE)
        told = self._run(["sh", "-c", listed], what="tell what it has of the bundle").stdout
        there = {line[66:].removeprefix("./"): line[:64] for line in told.splitlines()}
        files = (file for file in sorted(bundle.rglob("*")) if file.is_file() and file.name not in _ONE_MACHINES)
        here = {str(file.relative_to(bundle)): file for file in files}
        missing = {name: file for name, file in here.items() if there.get(name) != _digest(file)}
        if stale := sorted(there.keys() - here.keys()):
            self._run(["rm", "-f", "--", *(f"{BUNDLE}/{name}" for name in stale)], what="clear the old bundle")
        if missing:
            data = _archive(missing)
            self._tell(f"sending {len(data) / 1e6:.1f} MB")
            words = ["tar", "--extract", "--no-same-owner", "--file=-", f"--directory={BUNDLE}"]
            self._run(words, data, _QUICK + len(data) / _SLOWEST, what="take the bundle in")

    def enrol(self, host_key: str, *, replace: bool = False, identities: Sequence[Path] | None = None) -> Adopted:
        """Tell the machine whom it obeys, ask it for its keys, and take them into the collective in one commit.

        `host_key` is the one that vouches for the connection: the machine must call it its own.
        """
        name, trust = self.wanted.name, found(self._copy)
        if not self._pinned:
            self._run(["hentou", "pin", "--machine", name], trust.json, what="be pinned")
        said = enrolment.parse(self._run(["hentou", "identity", "--json"], what="make its keys").raw, name)
        if " ".join(str(said.get("ssh_host", "")).split()[:2]) != host_key:
            raise HentouError(
                f"{name} has another SSH host key than the one that answered",
                "somebody stands in between: find out who",
            )
        if self._is_enrolled(said):
            return Adopted(name, trust.sequence, None)
        done = enrolment.enrol(self._repository, name, said, replace=replace, identities=identities)
        return Adopted(name, trust.sequence, done)

    def _is_enrolled(self, said: Mapping[str, object]) -> bool:
        keys = compose.load(DirectoryTree(self._repository)).keys.get(self.wanted.name)
        return keys is not None and all(getattr(keys, name) == said.get(name) for name in _SAME)

    def note(self, address: Address) -> None:
        """Remember by which way the machine is reached before it has an account for anybody."""
        self._copy.set(f"hentou.{self.wanted.name}.ssh", str(address))

    def _run(self, words: Sequence[str], stdin: bytes = b"", timeout: float = _QUICK, *, what: str) -> Result:
        done = self._root(words, stdin, timeout)
        if done.status:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]
            reason = "\n".join(said) or f"it ended with status {done.status}"
            raise HentouError(
                f"{self.wanted.name} did not {what}: {reason}", "mend that on the machine, then adopt again"
            )
        return done


_SAME = tuple(name for name in identity.FIELDS if name not in ("machine", "csr"))


def check_key(key: str, wanted: str) -> None:
    """HentouError when a host key's fingerprint is not the one that a person was told."""
    if fingerprint(key) != wanted:
        raise HentouError(
            f"this server has the host key {fingerprint(key)}, not {wanted}",
            "compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`, on the machine's own screen",
        )


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _archive(members: Mapping[str, Path]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, file in members.items():
            archive.add(file, name, recursive=False)
    return data.getvalue()
