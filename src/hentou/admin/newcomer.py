"""What a machine is before hentou is on it: asked over SSH in one go, and judged before anything is changed there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hentou.errors import HentouError
from hentou.model.types import Machine

DEBIAN = "13"
SPACE = 2 * 2**30
"""Bytes that hentou, the packages of a small site and two generations need."""

PACKAGES: Mapping[str, str] = {
    "git": "git",
    "wg": "wireguard-tools",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
}
"""Programs that the agent needs, with the package of each."""

VENV = "python3-venv"

QUESTIONS = r"""
. /etc/os-release
echo "system=${ID:-unknown}"
echo "release=${VERSION_ID:-}"
echo "arch=$(dpkg --print-architecture)"
echo "free=$(df -Pk /var | awk 'NR == 2 { print $4 }')"
echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
echo "venv=$(python3 -c 'import ensurepip, venv; print("yes")' 2>/dev/null)"
[ -d /run/systemd/system ] && echo "systemd=yes"
for program in git wg ssh-keygen ip; do
    command -v "$program" >/dev/null || echo "without=$program"
done
[ -f /etc/hentou/machine ] && echo "machine=$(head -c 100 /etc/hentou/machine)"
[ -f /var/lib/hentou/trust.json ] &&
    echo "repository=$(sed -n 's/.*"repository": *"\([0-9a-f]*\)".*/\1/p' /var/lib/hentou/trust.json)"
exit 0
"""
"""For `sh -s`, as root: one `NAME=VALUE` a line."""

_LINE = re.compile(r"([a-z]+)=(.*)")


@dataclass(frozen=True)
class Newcomer:
    """What a machine said. `machine` and `repository` are what it already is, if hentou is on it."""

    system: str = ""
    release: str = ""
    arch: str = ""
    free: int = 0
    python: str = ""
    systemd: bool = False
    packages: tuple[str, ...] = ()
    machine: str = ""
    repository: str = ""

    @classmethod
    def parse(cls, text: str) -> Newcomer:
        """What the answers to `QUESTIONS` say; lines that are none, such as a login's greeting, are passed over."""
        pairs = [(match[1], match[2].strip()) for line in text.splitlines() if (match := _LINE.fullmatch(line))]
        said = dict(pairs)
        packages = {PACKAGES.get(value, "") for name, value in pairs if name == "without"}
        packages |= set() if said.get("venv") else {VENV}
        free = said.get("free", "")
        return cls(
            system=said.get("system", ""),
            release=said.get("release", ""),
            arch=said.get("arch", ""),
            free=int(free) * 1024 if free.isdecimal() else 0,
            python=said.get("python", ""),
            systemd="systemd" in said,
            packages=tuple(sorted(packages - {""})),
            machine=said.get("machine", ""),
            repository=said.get("repository", ""),
        )


def judge(found: Newcomer, wanted: Machine, repository: str) -> None:
    """HentouError when a machine cannot become the one that the collective describes, before anything is changed."""
    if found.system != "debian" or found.release.split(".")[0] != DEBIAN:
        what = f"{found.system} {found.release}".strip() or "of an unknown kind"
        raise HentouError(f"it is {what}, and hentou needs Debian {DEBIAN}", f"install Debian {DEBIAN} on it")
    if not found.systemd:
        raise HentouError("it runs without systemd, as a container often does", "take a machine that boots by itself")
    if found.arch != wanted.arch:
        hint = f"write `arch: {found.arch}` in sites/{wanted.site}.yaml, or take another machine"
        raise HentouError(f"its processor is {found.arch}, and {wanted.name} is described as {wanted.arch}", hint)
    if found.free < SPACE:
        free, needed = found.free / 2**30, SPACE / 2**30
        raise HentouError(
            f"it has {free:.1f} GB of free disk, and {needed:.0f} GB are needed", "free some, as root there"
        )
    if found.repository not in ("", repository):
        raise HentouError(
            f"it follows another collective already (repository {found.repository[:8]})",
            "install Debian on it anew, or let that one strike it out and run `hentou pin --replace` there",
        )
    if found.repository and found.machine not in ("", wanted.name):
        raise HentouError(f"it is {found.machine} already", f"adopt it --as {found.machine}, or install Debian anew")
