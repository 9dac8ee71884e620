"""Locks that end with their holder, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hentou.errors import HentouError


@contextmanager
def exclusive(directory: Path, busy: str = "") -> Iterator[None]:
    """Hold a directory, which is made when absent, for oneself (flock(2)).

    Waits until it is free or, with `busy`, raises HentouError with that message when it is not.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
    except BlockingIOError:
        os.close(handle)
        raise HentouError(busy, "wait for it to end, or stop it with Ctrl-C") from None
    try:
        yield
    finally:
        os.close(handle)
