"""The verbs of a lab's nodes: the same for a machine, a laptop, a box and the visitor."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hentou.effects import clock, containers, namespaces, process
from hentou.errors import HentouError
from hentou.lab.network import MARK

TIMEOUT = 60.0
"""Seconds that a command may take when the caller says nothing."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = (
    f"PATH={PATH}",
    "HOME=/root",
    "USER=root",
    "LOGNAME=root",
    "LANG=C.UTF-8",
    "TERM=xterm-256color",
)

_WITH_OWN_NAMES = """\
for file in resolv.conf nsswitch.conf hosts; do
    [ -e "/etc/$file" ] && mount --bind "$0/$file" "/etc/$file"
done
cd / && exec "$@"
"""


class MachineFailed(HentouError):  # noqa: N818 — what tests wait for reads better so
    """What was expected of a node did not happen: its name, the command, and what it said."""

    def __init__(self, node: str, command: str, expected: str, output: str) -> None:
        super().__init__(f"{node}: `{command}` {expected}\n{output[-4000:]}".rstrip())
        self.node = node
        self.command = command
        self.output = output


class LabError(HentouError):
    """The lab itself went wrong, or was asked for what it cannot do: no verdict on any machine."""


class Outcome(NamedTuple):
    """How a command ended; 124 is a command that took too long."""

    status: int
    output: str


class Node(ABC):
    """Anything in the lab that runs commands. `name` is how people and error messages call it."""

    name: str

    @abstractmethod
    def command(self, words: list[str]) -> list[str | Path]:
        """The command line of the host that runs a program on this node."""

    def execute(self, command: str, timeout: float = TIMEOUT) -> Outcome:
        """Run a shell command; its exit status and all it printed. It is killed after `timeout` seconds."""
        limited = ["timeout", "--kill-after=2", str(timeout), "sh", "-c", f"exec 2>&1; {command}"]
        result = process.run(self.command(limited), check=False, timeout=timeout + 10)
        return Outcome(result.status, result.stdout + result.stderr)

    def succeed(self, command: str, timeout: float = TIMEOUT) -> str:
        """Run a shell command and return what it printed; MachineFailed when its status is not 0."""
        status, output = self.execute(command, timeout)
        if status:
            raise MachineFailed(self.name, command, f"ended with status {status}", output)
        return output

    def fail(self, command: str, timeout: float = TIMEOUT) -> str:
        """Run a shell command and return what it printed; MachineFailed when it succeeds."""
        status, output = self.execute(command, timeout)
        if status == 0:
            raise MachineFailed(self.name, command, "succeeded, which it must not", output)
        return output

    def wait_until_succeeds(self, command: str, timeout: float = TIMEOUT) -> str:
        """Repeat a shell command until it succeeds; MachineFailed after `timeout` seconds without."""
        deadline = clock.monotonic() + timeout
        while True:
            left = max(deadline - clock.monotonic(), 0.1)
            status, output = self.execute(command, left)
            if status == 0:
                return output
            if clock.monotonic() >= deadline:
                raise MachineFailed(self.name, command, f"did not succeed within {timeout:g} s", output)
            clock.sleep(min(0.2, left))

    def wait_until_fails(self, command: str, timeout: float = TIMEOUT) -> str:
        """Repeat a shell command until it fails; MachineFailed after `timeout` seconds without."""
        return self.wait_until_succeeds(f"! ( {command} )", timeout)

    def wait_for_open_port(self, port: int, host: str = "localhost", timeout: float = TIMEOUT) -> None:
        """Wait until something accepts TCP connections."""
        self.wait_until_succeeds(f"timeout 2 bash -c '</dev/tcp/{shlex.quote(host)}/{port}'", timeout)

    def shell(self, command: str = "") -> int:
        """Give the caller's terminal to a shell, or to one command, on this node; its exit status."""
        return process.interactive(self.command(["sh", "-c", command] if command else ["bash", "-l"]))


class HostNode(Node):
    """A laptop, a box or the visitor: the host's own programs, with the network and names of the node."""

    def __init__(self, lab: str, name: str, namespace: str, directory: Path) -> None:
        self.lab = lab
        self.name = name
        self.namespace = namespace
        self._directory = directory

    def command(self, words: list[str]) -> list[str | Path]:
        """In the node's network namespace, with the node's own resolv.conf mounted over the host's."""
        clean = ["env", "-i", *_ENVIRONMENT, f"{MARK}={self.lab}"]
        own = ["unshare", "--mount", "sh", "-c", _WITH_OWN_NAMES, str(self._directory)]
        return namespaces.inside(self.namespace, [*clean, *own, *words])


class MachineNode(Node):
    """A booted machine, entered through the namespaces of its PID 1."""

    def __init__(self, name: str, namespace: str) -> None:
        self.name = name
        self.namespace = namespace
        self.extra: tuple[str, ...] = ()
        """More environment variables for commands, as NAME=VALUE."""

    @property
    def pid(self) -> int | None:
        """The machine's PID 1 as the host numbers it, or None when it is off."""
        return containers.leader(self.namespace)

    def command(self, words: list[str]) -> list[str | Path]:
        """As root inside the machine; LabError when it is off."""
        if (pid := self.pid) is None:
            raise LabError(f"{self.name} is off", f"hentou lab start {self.name}")
        clean = ["env", "-i", *_ENVIRONMENT, *self.extra]
        return ["nsenter", f"--target={pid}", "--all", "--wdns=/", "--", *clean, *words]

    def wait_for_unit(self, unit: str, timeout: float = TIMEOUT) -> None:
        """Wait until a systemd unit is active; MachineFailed at once when it has failed."""
        deadline = clock.monotonic() + timeout
        while (state := self.execute(f"systemctl is-active {shlex.quote(unit)}").output.strip()) != "active":
            if state == "failed" or clock.monotonic() >= deadline:
                said = self.execute(f"systemctl status --no-pager --full {shlex.quote(unit)}").output
                raise MachineFailed(self.name, f"wait_for_unit {unit}", f"found it {state}", said)
            clock.sleep(0.1)


@contextmanager
def recording(node: MachineNode | HostNode, file: Path, filters: str = "") -> Iterator[None]:
    """Have tcpdump write every packet of a node's interfaces to `file` meanwhile."""
    words = [
        "tcpdump",
        "-Z",
        "root",
        "-i",
        "any",
        "-s",
        "0",
        "-U",
        "-n",
        "-w",
        str(file),
        *shlex.split(filters),
    ]
    with containers.child(namespaces.inside(node.namespace, words), until="listening on"):
        yield
        _settle(file)


def _settle(file: Path) -> None:
    """Wait until a file has stopped growing: told to end, tcpdump drops what the kernel still holds.

    The kernel hands packets over once a second, or by blocks that are full.
    """
    size = -1
    while size != (size := file.stat().st_size):
        clock.sleep(1.1)
