"""OpenSSH as a client: one authenticated connection to a machine, and commands over it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from hentou.effects.process import Result, harmless, run

CONNECT = 5
"""Seconds for a machine to answer; a site's uplink answers within one, or not at all."""

_OPEN = 15.0
"""Seconds for a whole connection, with the keys that the agent holds."""

_PERSON = 120.0
"""Seconds where a passphrase is typed or a hardware key touched."""

_IDLE = 120
"""Seconds that an idle connection outlives its last use, should this process be killed before it closes it."""

_LONGEST_FOLDER = 60
"""A socket's path takes 104 bytes, of which OpenSSH needs 17 and we 4."""


def private_folder() -> Path:
    """A new directory for sockets and known_hosts that only this account enters."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="hentou-", dir=usual if len(usual) < _LONGEST_FOLDER else "/tmp"))  # noqa: S108


def remove_folder(folder: Path) -> None:
    """Remove what `private_folder` made."""
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Target:
    """Where and as whom to connect. `alias` is the name that known_hosts has the machine's key under."""

    alias: str
    host: str
    port: int = 22
    user: str = ""


class Link:
    """One way to a machine: opened once, then shared by every command.

    `folder` holds the file `known_hosts` and the control socket; `through` is an open link to jump over.
    """

    def __init__(
        self, folder: Path, name: str, target: Target, key: Path | None = None, through: Link | None = None
    ) -> None:
        self.target = target
        self._folder = folder
        self._socket = folder / name
        self._key = key
        self._through = through
        self._opening: subprocess.Popen[bytes] | None = None
        self._aborted = False

    def open(self, *, interactive: bool = False) -> str:
        """Connect; why it failed, empty when it did not. `interactive` lets OpenSSH ask on the terminal."""
        patience = _PERSON if interactive else _OPEN
        with (self._folder / f"{self._socket.name}.said").open("wb+") as said:
            # A file, for a pipe would stay open as long as the connection in the background.
            self._opening = subprocess.Popen(
                [*self._command(batch=not interactive), self.target.alias, "true"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=not interactive,
            )  # fmt: skip
            if self._aborted:
                self._opening.kill()
            try:
                status = self._opening.wait(patience)
            except subprocess.TimeoutExpired:
                self._opening.kill()
                self._opening.wait()
                return f"no answer within {patience:g} s"
            return _reason(said) or f"ssh ended with status {status}" if status else ""

    def abort(self) -> None:
        """Break off `open` in another thread, or close what it opened."""
        self._aborted = True
        if self._opening and self._opening.poll() is None:
            self._opening.kill()

    def _options(self, *, batch: bool) -> list[str]:
        values = {
            "BatchMode": "yes" if batch else "no", "ConnectTimeout": CONNECT, "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self._folder / "known_hosts", "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": self.target.alias, "CheckHostIP": "no", "UpdateHostKeys": "no", "LogLevel": "ERROR",
            "HostName": self.target.host, "Port": self.target.port, "ControlPath": self._socket,
            "ServerAliveInterval": 5, "ServerAliveCountMax": 3, "ForwardAgent": "no",
            "PermitLocalCommand": "no", "PreferredAuthentications": "publickey",
            # Whatever a person's own configuration forwards to other hosts: a machine may have been broken into.
            "ClearAllForwardings": "yes", "ForwardX11": "no", "Tunnel": "no", "RemoteCommand": "none",
        }  # fmt: skip
        words = [word for name, value in values.items() for word in ("-o", f"{name}={value}")]
        words += ["-o", f"User={self.target.user}"] if self.target.user else []
        words += ["-o", f"IdentityFile={self._key}"] if self._key else []
        if self._through:
            # The command goes through a shell; `%` would start one of OpenSSH's own words in it.
            words += ["-o", f"ProxyCommand={shlex.join(self._through.relay(self.target)).replace('%', '%%')}"]
        return words

    def _command(self, *, batch: bool = True) -> list[str]:
        master = ["-o", "ControlMaster=auto", "-o", f"ControlPersist={_IDLE}"]
        return ["ssh", "-T", *self._options(batch=batch), *master]

    def relay(self, target: Target) -> list[str]:
        """The command that passes bytes on to a target's port, over this link."""
        host = f"[{target.host}]" if ":" in target.host else target.host
        return ["ssh", "-T", *self._options(batch=True), "-W", f"{host}:{target.port}", self.target.alias]

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60.0) -> Result:
        """Run a program there; status 255 is OpenSSH's own failure, 124 that it took longer than `timeout` seconds."""
        done = run([*self._command(), self.target.alias, "--", shlex.join(argv)], stdin=stdin, check=False,
                   timeout=timeout)  # fmt: skip
        # It is printed on an admin's terminal, whoever has taken that machine over.
        return replace(done, stdout=harmless(done.stdout), stderr=harmless(done.stderr))

    @property
    def environment(self) -> dict[str, str]:
        """For Git, so that it goes over this link."""
        return {"GIT_SSH_COMMAND": shlex.join(self._command()), "GIT_SSH_VARIANT": "ssh"}

    def close(self) -> None:
        """End the connection."""
        if self._socket.exists():
            run(["ssh", "-O", "exit", "-o", f"ControlPath={self._socket}", self.target.alias], check=False, timeout=5)


def _reason(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line.strip() for line in harmless(said.read(20_000).decode(errors="replace")).splitlines() if line.strip()]
    return next((line for line in lines if "HOST IDENTIFICATION HAS CHANGED" in line or "verification failed" in line),
                lines[-1] if lines else "")  # fmt: skip
