"""What the agent asks of Debian: packages, accounts, units, peers. Everything has a time limit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hentou.effects.disk import Disk
from hentou.effects.process import CommandError, Result, run
from hentou.errors import HentouError

INSTALL_TIMEOUT = 900
SYSTEMCTL_TIMEOUT = 60
ACCOUNT_TIMEOUT = 20

_POLICY = "/usr/sbin/policy-rc.d"
_POLICY_TEXT = b"""#!/bin/sh
# While hentou installs packages it decides itself what starts, and when.
[ -z "$HENTOU_INSTALLS" ] || exit 101
"""
_PROPERTIES = (
    "ActiveState,SubState,LoadState,Type,RemainAfterExit,InactiveExitTimestampMonotonic,"
    "ConditionResult,ConditionTimestampMonotonic"
)


class InstallError(HentouError):
    """Packages that could not be had: the network's fault more often than the generation's."""


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of a unit; `sub` is its SubState, `ran` whether it has started since boot, `spared`
    whether its own conditions said that it need not run here.
    """

    active: str
    sub: str
    loaded: bool
    oneshot: bool
    stays: bool
    ran: bool
    spared: bool = False


class System:
    """One Debian machine."""

    def packages(self) -> frozenset[str]:
        """Names of installed packages."""
        told = run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"], timeout=30).stdout
        return frozenset(line[4:] for line in told.splitlines() if line[1:2] == "i")

    def install(self, packages: Sequence[str], disk: Disk) -> None:
        """Install packages, starting none; the lists are fetched only when those here do not do."""
        with _nothing_starts(disk):
            if _apt("install", *packages).status == 0:
                return
            # A power cut may have stopped dpkg half-way, which then does nothing until it has ended that.
            configure = ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"]
            run(configure, check=False, timeout=INSTALL_TIMEOUT, env=_unattended())
            _apt("update")
            result = _apt("install", *packages)
        if result.status:
            said = [line for line in result.stderr.splitlines() if line.startswith(("E:", "W:"))]
            raise InstallError(
                f"cannot install {', '.join(packages)}: {' '.join(said[:3]) or 'apt-get failed'}",
                "bring this machine online, or carry the packages to it, then run `hentou converge` again",
            )

    def account(self, *command: str) -> None:
        """Run one of the programs that change accounts; they lock /etc/passwd among themselves."""
        run(command, timeout=ACCOUNT_TIMEOUT)

    def units(self, names: Iterable[str]) -> Mapping[str, UnitState]:
        """The state of units, all asked at once; one that systemd does not know is left out."""
        asked = tuple(names)
        if not asked:
            return {}
        told = run(["systemctl", "show", f"--property={_PROPERTIES}", "--", *asked], timeout=20).stdout
        blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in told.split("\n\n"))
        states = {name: _unit_state(block) for name, block in zip(asked, blocks, strict=False)}
        return {name: state for name, state in states.items() if state.loaded or state.active != "inactive"}

    def systemctl(self, verb: str, *units: str, timeout: float = SYSTEMCTL_TIMEOUT) -> None:
        """Order something; HentouError with the end of the units' own journal when it fails."""
        result = run(["systemctl", verb, "--", *units], check=False, timeout=timeout)
        if result.status:
            words = self.last_words(*units) or result.stderr.strip()
            raise HentouError(f"systemctl {verb} {' '.join(units)}: {words}")

    def last_words(self, *units: str) -> str:
        """The end of what units wrote to the journal, on one line."""
        if not units:
            return ""
        command = [
            "journalctl",
            "--no-pager",
            "--output=cat",
            "--lines=4",
            *(f"--unit={unit}" for unit in units),
        ]
        return " / ".join(run(command, check=False, timeout=10).stdout.split("\n"))[-600:].strip(" /")

    def arm_undo(self) -> None:
        """Have systemd look every few seconds whether the activation's process is still alive."""
        run(["systemctl", "start", "hentou-undo.timer"], check=False, timeout=10)

    def disarm_undo(self) -> None:
        """The activation ended, one way or the other."""
        run(["systemctl", "stop", "hentou-undo.timer"], check=False, timeout=10)

    def reset_failed(self, units: Sequence[str]) -> None:
        """Forget earlier failures, so that systemd's limit on restarts does not refuse a corrected unit."""
        run(["systemctl", "reset-failed", "--", *units], check=False, timeout=10)

    def ping(self, address: str) -> bool:
        """Whether an address answers an echo request within two seconds."""
        return run(["ping", "-n", "-c", "1", "-W", "2", address], check=False, timeout=4).status == 0

    def command(self, words: Sequence[str], timeout: float) -> str:
        """Run a health check's command; empty when it succeeded, else what it said."""
        try:
            run(words, timeout=timeout)
        except CommandError as failed:
            return failed.message.replace("\n", " ")[-300:]
        return ""


def die() -> None:
    """Stop this process dead, as a power cut would; for drills."""
    os.kill(os.getpid(), signal.SIGKILL)


def _unit_state(block: Mapping[str, str]) -> UnitState:
    return UnitState(
        active=block.get("ActiveState", "inactive"),
        sub=block.get("SubState", ""),
        loaded=block.get("LoadState") in ("loaded", "merged"),
        oneshot=block.get("Type") == "oneshot",
        stays=block.get("RemainAfterExit") == "yes",
        ran=block.get("InactiveExitTimestampMonotonic", "0") != "0",
        # Before systemd has looked at the conditions, it says "no" as well.
        spared=block.get("ConditionResult") == "no" and block.get("ConditionTimestampMonotonic", "0") != "0",
    )


def _apt(verb: str, *packages: str) -> Result:
    options = ["--quiet", "--yes", "--no-install-recommends", "--option=Dpkg::Use-Pty=0"]
    # A file of the generation may stand where a package brings its own: ours stays, and nobody is asked.
    options += ["--option=Dpkg::Options::=--force-confdef", "--option=Dpkg::Options::=--force-confold"]
    options += ["--option=DPkg::Lock::Timeout=60", "--option=Acquire::http::Timeout=10"]
    return run(["apt-get", verb, *options, "--", *packages], check=False, timeout=INSTALL_TIMEOUT, env=_unattended())


def _unattended() -> Mapping[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HENTOU_INSTALLS": "1"}


@contextmanager
def _nothing_starts(disk: Disk) -> Iterator[None]:
    """Let packages start nothing meanwhile. A machine's own policy, if it has one, is left to rule."""
    ours = disk.read_or_none(_POLICY) in (None, _POLICY_TEXT)
    if ours:
        disk.write(_POLICY, _POLICY_TEXT, 0o755)
    try:
        yield
    finally:
        if ours:
            disk.remove(_POLICY)
