"""A machine of the lab: its power, its disk, its clock."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from hentou.effects import clock, containers, mounts, namespaces, process
from hentou.errors import HentouError
from hentou.lab.network import MARK, Network
from hentou.lab.node import PATH, LabError, MachineFailed, MachineNode
from hentou.lab.topology import Computer
from hentou.model.types import Machine as Spec

BOOT = 90.0
"""Seconds a machine has to boot or shut down; two are usual."""

_STILLBORN = 5.0
"""Seconds after which a machine with no process at all will not boot any more."""

_FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
_CLOCK = "/etc/hentou-lab/clock"
_CLOCK_ENVIRONMENT = (
    f"LD_PRELOAD={_FAKETIME}",
    f"FAKETIME_TIMESTAMP_FILE={_CLOCK}",
    "FAKETIME_CACHE_DURATION=1",
    "FAKETIME_DONT_FAKE_MONOTONIC=1",
)
_OFFSET = re.compile(r"[+-]\d+(\.\d+)?[mhdy]?")
"""What libfaketime reads as apart from now. With anything else every program of the machine would end."""

_TOOLS = "/etc/hentou-lab/bin"
_TRUE_TIME = "[Service]\nUnsetEnvironment=LD_PRELOAD\n"
"""systemd's own programs and HAProxy, which judges no certificate, never get ready under libfaketime."""

_UNITS = "/etc/systemd/system"
_NAME = "hentou-lab-clock.conf"


class Machine(MachineNode):
    """One machine of the collective, simulated by systemd-nspawn on overlays of the lab's images."""

    def __init__(self, network: Network, computer: Computer, directory: Path, lower: tuple[Path, ...]) -> None:
        super().__init__(computer.spec.name, network.namespace(computer.node))
        self.computer = computer
        self.directory = directory
        self._network = network
        self._images = lower
        if (self._disk / _CLOCK.lstrip("/")).exists():
            self.extra = _commands_environment()

    @property
    def spec(self) -> Spec:
        """The machine as the collective's YAML says it."""
        return self.computer.spec

    @property
    def root(self) -> Path:
        """Its root file system, seen from the host; /run and /tmp are in its memory, not here."""
        return self.directory / "root"

    @property
    def on(self) -> bool:
        """Whether it has power."""
        return self.pid is not None

    @property
    def _disk(self) -> Path:
        return self.directory / "upper"

    @property
    def _console(self) -> Path:
        return self.directory / "console.log"

    def start(self) -> None:
        """Switch it on and wait until it has booted; nothing happens when it is on."""
        if self.on:
            return
        containers.forget(self.namespace)
        self._network.wire(self.computer)
        self._insert_disk()
        container = containers.Container(self.namespace, self.name, self.root, self.namespace)
        containers.start(container, self._console, {MARK: self._network.lab})
        self._wait_for_boot()

    def replace(self, *, plain: bool = False) -> None:
        """Put another computer in its place, with an empty disk, and leave it off: all that was on the old one is gone.

        `plain` has it hold Debian alone, as a provider delivers it; otherwise hentou's bundle is installed too.
        """
        if self.on:
            self.crash()
        containers.forget(self.namespace)
        mounts.unmount(self.root)
        for folder in (self._disk, self.directory / "work"):
            mounts.remove(folder)
        self.extra = ()
        self._plain.touch() if plain else self._plain.unlink(missing_ok=True)

    @property
    def _plain(self) -> Path:
        return self.directory / "plain"

    def _insert_disk(self) -> None:
        new = not self._disk.exists()
        # The last image is Debian alone; what lies over it is what hentou's bundle installs.
        images = self._images[-1:] if self._plain.exists() else self._images
        mounts.overlay(images, self._disk, self.directory / "work", self.root)
        if new:
            identity = sha256(f"lab machine id {self.namespace}".encode()).hexdigest()[:32]
            (self.root / "etc/machine-id").write_text(f"{identity}\n")
            (self.root / "etc/hostname").write_text(f"{self.name}\n")

    def _wait_for_boot(self) -> None:
        began = clock.monotonic()
        said = ""
        while clock.monotonic() < began + BOOT:
            with suppress(LabError):
                said = self.execute("systemctl is-system-running --wait", BOOT).output.strip()
                if said in {"running", "degraded"}:
                    return
            clock.sleep(0.05)
            if clock.monotonic() > began + _STILLBORN and not self._processes():
                break
        console = self._console.read_text(errors="replace")[-3000:]
        raise LabError(f"{self.name} did not boot ({said}); its console said:\n{console}", "hentou lab down")

    def crash(self) -> None:
        """Cut its power: every process ends at once, and memory (/run, /tmp, the network) is lost."""
        containers.kill_all(self._processes)
        self._network.unplug(self.computer)

    def shutdown(self) -> None:
        """Shut it down in order, as its power button would; LabError when it does not end."""
        deadline = clock.monotonic() + BOOT
        containers.ask_power_off(self.namespace)
        while any(self._processes()):
            if clock.monotonic() > deadline:
                raise LabError(f"{self.name} did not shut down within {BOOT:g} s", "crash it instead")
            clock.sleep(0.05)
        self._network.unplug(self.computer)

    def _processes(self) -> list[int]:
        return [*containers.supervisors(self.namespace), *namespaces.processes([self.namespace])]

    def copy_in(self, content: bytes | Path, target: str, mode: int = 0o644) -> None:
        """Write a file in the machine, from bytes or from a file of the host."""
        data = content.read_bytes() if isinstance(content, Path) else content
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        words = self.command(["sh", "-c", script, "sh", target, f"{mode:o}"])
        if (result := process.run(words, stdin=data, check=False)).status:
            raise MachineFailed(self.name, f"copy_in {target}", f"ended with status {result.status}", result.stderr)

    def set_clock(self, offset: str) -> None:
        """Set the clock apart from the host's, such as `+30d` or `-2h` (faketime(1)).

        The first time, the machine reboots: from then on its services, and the commands run on it, see
        the other time. The kernel, systemd with its own programs, and programs that are linked statically
        keep the host's: timers do not elapse by this, so start what they would start, and the journal
        does not show it. An offset of `+0` is the host's time again.
        """
        if not _OFFSET.fullmatch(offset):
            raise HentouError(f"{offset!r} is not how far a clock is off", "write it like +30d, -2h, +90m or +0")
        self.copy_in(f"{offset}\n".encode(), _CLOCK)
        if self.extra:
            clock.sleep(1.1)  # libfaketime reads its file again after a second
            return
        self._preload()
        self.shutdown()
        self.extra = _commands_environment()
        self.start()

    def _preload(self) -> None:
        environment = " ".join(shlex.quote(word) for word in _CLOCK_ENVIRONMENT)
        self.copy_in(f"[Service]\nEnvironment={environment}\n".encode(), f"{_UNITS}/service.d/{_NAME}")
        for unit in ("systemd-", "dbus", "user@", "haproxy"):
            self.copy_in(_TRUE_TIME.encode(), f"{_UNITS}/{unit}.service.d/{_NAME}")
        for tool in ("systemctl", "systemd-run", "journalctl"):
            script = f'#!/bin/sh\nexec env -u LD_PRELOAD /usr/bin/{tool} "$@"\n'
            self.copy_in(script.encode(), f"{_TOOLS}/{tool}", 0o755)


def _commands_environment() -> tuple[str, ...]:
    return (*_CLOCK_ENVIRONMENT, f"PATH={_TOOLS}:{PATH}")
