"""Tell systemd how a service is: sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY = "READY=1"
ALIVE = "WATCHDOG=1"

_PATIENCE = 1.0
"""Seconds."""


def notify(*lines: str) -> None:
    """Send assignments, such as READY and `STATUS=…`, to whoever started this process, if anybody asked."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not lines:
        return
    # A manager that does not listen any more is no reason to stop, nor to wait for long.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.settimeout(_PATIENCE)
        channel.sendto("\n".join(lines).encode(), "\0" + address[1:] if address.startswith("@") else address)


def environment() -> dict[str, str]:
    """What children of this process find as their environment: they must not speak in its name."""
    own = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS")
    return {name: value for name, value in os.environ.items() if name not in own}
