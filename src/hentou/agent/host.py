"""What an agent works with: one machine's disk, its Debian, its store, the time, and how to tell progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from hentou.agent.store import Store
from hentou.effects import clock
from hentou.effects.disk import Disk, LockedError
from hentou.effects.system import System
from hentou.generation.generation import Manifest


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass
class Host:
    """One machine, as its agent sees it."""

    disk: Disk = field(default_factory=Disk)
    system: System = field(default_factory=System)
    tell: Callable[[str], None] = _silent
    now: Callable[[], datetime] = clock.now
    sleep: Callable[[float], None] = clock.sleep
    monotonic: Callable[[], float] = clock.monotonic

    def __post_init__(self) -> None:
        """Open the store on the disk."""
        self.store = Store(self.disk)

    def moment(self) -> str:
        """The time of day, for the record."""
        return self.now().isoformat(timespec="seconds")

    @contextmanager
    def lock(self, path: str, message: str, patience: float = 0) -> Iterator[None]:
        """Hold a lock of the disk; LockedError with `message` if it is still taken after `patience` seconds."""
        deadline = self.monotonic() + patience
        with ExitStack() as held:
            while True:
                try:
                    held.enter_context(self.disk.lock(path, message))
                    break
                except LockedError:
                    if self.monotonic() >= deadline:
                        raise
                    self.sleep(0.1)
            yield

    def manifest(self, generation: str | None) -> Manifest | None:
        """A generation's manifest; None for None."""
        return Manifest.parse(self.store.manifest_json(generation)) if generation else None
