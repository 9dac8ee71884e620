"""What the lab asks of the computer it runs on, said before anything is touched."""

from __future__ import annotations

import os
from pathlib import Path

from hentou.errors import HentouError
from hentou.lab import requirements

ELSEWHERE = "without it, `hentou check`, `build`, `plan`, `explain` and `make test-fast` still work"


def check() -> None:
    """HentouError with what is missing on this host, why it is needed, and what to do."""
    require_root()
    if missing := list(requirements.missing()):
        raise HentouError(
            f"the lab needs Debian packages that are not installed: {', '.join(missing)}",
            f"apt-get install --no-install-recommends {' '.join(missing)}",
        )
    if not Path("/dev/net/tun").exists():
        raise HentouError("the lab needs /dev/net/tun, for WireGuard without a kernel module", "modprobe tun")


def require_root() -> None:
    """HentouError unless this is root."""
    if os.geteuid() != 0:
        raise HentouError(
            f"the lab needs root: it makes network namespaces, mounts and containers\n{ELSEWHERE}",
            "run the same command with sudo",
        )
