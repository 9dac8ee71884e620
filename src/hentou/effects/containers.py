"""Machines simulated by systemd-nspawn: start, find, stop, cut the power."""

from __future__ import annotations

import fnmatch
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hentou.effects import clock, namespaces, process
from hentou.errors import HentouError

_CGROUP = Path("/sys/fs/cgroup")
_RUN = Path("/run/systemd/nspawn")
_POWER_OFF = signal.SIGRTMIN + 4
"""What systemd as PID 1 takes for a request to power off (systemd(1), SIGNALS)."""

_NSPAWN = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
"""Control groups of version 2 whatever the host has; kernel parameters of its own network are the machine's."""

_ENTER_CGROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Container:
    """One machine: a name unique on the host, its root directory, and the namespace it is wired in."""

    name: str
    hostname: str
    root: Path
    namespace: str


def booted_with_systemd() -> bool:
    """Whether systemd is this host's PID 1 (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def start(container: Container, log: Path, environment: Mapping[str, str]) -> None:
    """Boot a machine in the background; its console goes to `log`."""
    command: list[str | Path] = [
        "systemd-nspawn", "--quiet", "--settings=no", "--register=no", "--boot",
        f"--machine={container.name}", f"--hostname={container.hostname}", f"--directory={container.root}",
        f"--network-namespace-path={namespaces.path(container.namespace)}",
        "--bind=/dev/net/tun", "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
        "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe",
    ]  # fmt: skip
    if not booted_with_systemd():
        # No service manager to make a scope: nspawn shares its starter's control group, so give it its own.
        groups = [str(group) for group in _make_groups(container.name)]
        command = ["sh", "-c", _ENTER_CGROUPS, "sh", *groups, "--", *command, "--keep-unit"]
    daemon(command, log, {**environment, **_NSPAWN})


def daemon(command: Iterable[str | Path], log: Path, environment: Mapping[str, str]) -> None:
    """Start a program that nobody waits for: the host's PID 1 inherits it."""
    with log.open("ab") as output:
        starter = process.spawn(
            ["setsid", "--fork", *command], stdout=output, stderr=output, env={**os.environ, **environment}
        )
        if status := starter.wait():
            raise HentouError(f"setsid ended with status {status}", f"see {log}")


def leader(namespace: str) -> int | None:
    """The process that is PID 1 of the machine wired in a namespace, or None when it is off."""
    for pid in namespaces.processes([namespace]):
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(numbers) > 1 and numbers[-1] == "1":
                return pid
    return None


def supervisors(pattern: str) -> Iterator[int]:
    """The systemd-nspawn processes of machines whose name matches a pattern of fnmatch."""
    for pid, words, _ in _commands():
        if words[0].endswith("systemd-nspawn") and fnmatch.filter(words, f"--machine={pattern}"):
            yield pid


def marked(variable: str, value: str) -> Iterator[int]:
    """The processes that carry an environment variable with this value."""
    for pid, _, environment in _commands():
        if f"{variable}={value}" in environment:
            yield pid


def _commands() -> Iterator[tuple[int, list[str], list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                environment = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
                yield int(entry.name), words, environment


def ask_power_off(namespace: str) -> None:
    """Ask a machine to shut down; returns at once."""
    if pid := leader(namespace):
        kill([pid], _POWER_OFF)


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, of which some may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(find: Callable[[], Iterable[int]], patience: float = 20) -> None:
    """Kill what `find` finds until it finds nothing; `patience` is in seconds."""
    deadline = clock.monotonic() + patience
    while pids := [pid for pid in find() if pid != os.getpid()]:
        if clock.monotonic() > deadline:
            raise HentouError(f"processes {pids} do not end", "look at them with ps; try again")
        kill(pids)
        clock.sleep(0.02)


def forget(pattern: str, patience: float = 5) -> None:
    """Remove what systemd-nspawn leaves of machines that are off: control groups, directories of /run.

    A group is busy for a moment after its last process ended; `patience` is in seconds.
    """
    deadline = clock.monotonic() + patience
    while groups := [group for hierarchy in _hierarchies() for group in hierarchy.glob(pattern)]:
        for group in groups:
            _remove_group(group)
        if clock.monotonic() > deadline:
            raise HentouError(f"control group {groups[0]} stays busy", "look at its cgroup.procs; try again")
        clock.sleep(0.01)
    for left in (*_RUN.glob(f"propagate/{pattern}"), *_RUN.glob(f"unix-export/{pattern}")):
        process.run(["umount", "--quiet", left], check=False)
        with suppress(OSError):
            left.rmdir()


def _remove_group(group: Path) -> None:
    for directory, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(directory).rmdir()


def unlock(root: Path) -> None:
    """Remove the lock that systemd-nspawn keeps by a root directory's device and inode."""
    if root.exists():
        found = root.stat()
        (_RUN / f"locks/inode-{found.st_dev}:{found.st_ino}").unlink(missing_ok=True)


def _hierarchies() -> list[Path]:
    named = [_CGROUP / "unified", _CGROUP / "systemd"]
    return [path for path in named if path.is_dir()] or [_CGROUP]


def _make_groups(name: str) -> list[Path]:
    groups = [hierarchy / name for hierarchy in _hierarchies()]
    for group in groups:
        try:
            group.mkdir(exist_ok=True)
        except OSError as error:
            raise HentouError(
                f"cannot make the control group {group}: {error.strerror}",
                "run on a machine, real or virtual, where root may write to /sys/fs/cgroup",
            ) from error
    return groups


@contextmanager
def child(command: Iterable[str | Path], until: str) -> Iterator[None]:
    """Have a program run meanwhile, from the moment its standard error has said `until`."""
    running = process.spawn([*command], stderr=process.PIPE)
    try:
        said = ""
        for line in running.stderr or ():
            said += line.decode(errors="replace")
            if until in said:
                break
        else:
            raise HentouError(f"{running.args!r} ended: {said}")
        yield
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate()


def answers(host: str, port: int, patience: float) -> bool:
    """Whether something accepts TCP connections within `patience` seconds."""
    deadline = clock.monotonic() + patience
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            if clock.monotonic() > deadline:
                return False
            clock.sleep(0.05)
        else:
            return True
