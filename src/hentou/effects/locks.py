"""Locks that end with their holder, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hentou.effects import clock
from hentou.errors import HentouError

_PATIENCE = 1.0
"""Seconds: a child that a killed holder was just starting keeps its lock for a moment."""


@contextmanager
def exclusive(directory: Path, busy: str = "") -> Iterator[None]:
    """Hold a directory, which is made when absent, for oneself (flock(2)).

    Waits until it is free or, with `busy`, raises HentouError with that message when it stays taken.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not busy:
            fcntl.flock(handle, fcntl.LOCK_EX)
        elif not _soon(handle):
            raise HentouError(busy, "wait for it to end, or stop it with Ctrl-C")
        yield
    finally:
        os.close(handle)


def _soon(handle: int) -> bool:
    deadline = clock.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() > deadline:
                return False
            clock.sleep(0.02)
        else:
            return True
