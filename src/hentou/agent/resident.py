"""The resident agent: hears hints, asks its peers around, and has `hentou sync` do the work. Standard library only.

Run by `hentou-agent.service` as `python -m hentou.agent.resident`. It decides nothing of weight: what a peer sends is
at most a reason to look. All that is heavy happens in a child, one at a time, which outlives this process: an
activation that the child makes may well restart what started it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from hentou.agent.hints import CONFIGURATION, Configuration, Stand, Word, configuration, pack, stand, unpack
from hentou.agent.neighbours import Neighbour, Neighbours
from hentou.effects import clock
from hentou.effects.datagrams import Datagrams
from hentou.effects.disk import Disk
from hentou.effects.notify import ALIVE, READY, environment, notify
from hentou.effects.process import Program, end, spawn
from hentou.errors import HentouError

LIMIT = 1200.0
"""Seconds that a sync may take, with the activation that it starts; installing packages over a slow line is in it."""

GRACE = 30.0
"""Seconds between asking a sync that takes too long to end, and making it."""

SPACING = 1.0
"""Least seconds from the end of one sync to the start of the next."""

ANYWAY, ASKING = 30, 6
"""Polls, of a minute at least, after which this machine syncs even if nobody told it anything; every sixth time with
somebody: a fetch that brings nothing takes 10 kB of the line, where comparing digests takes 140 bytes.
"""

_BEAT = 5.0
"""Least seconds between two signs of life for systemd."""

_WATCHED = 0.25
"""Seconds between two looks at a running child."""

_OWN_CODE = 15.0
"""Seconds between two looks whether hentou was updated; two alike are an update that is complete."""

_MOST = 64
"""Datagrams that are looked at in one go; who sends more is read ten times a second."""


def say(text: str) -> None:
    """For the journal."""
    print(f"hentou-agent: {text}", file=sys.stderr, flush=True)  # noqa: T201


@dataclass
class Errand:
    """A sync under way, from `peer` or (None) from everybody or nobody; `before` is what this machine had."""

    program: Program
    peer: Neighbour | None
    since: float
    before: Stand
    asked_to_end: float | None = None

    @property
    def name(self) -> str:
        """For the journal."""
        return f"sync from {self.peer.name}" if self.peer else "sync"


class Resident:
    """One machine's agent. `turn` is one round of its loop, of five seconds at most."""

    def __init__(self, root: Path, program: str) -> None:
        self.disk = Disk(root)
        self.program = program
        self.known: Configuration | None = None
        self.neighbours = Neighbours(60)
        self.channel: Datagrams | None = None
        self.errand: Errand | None = None
        self.next_start = 0.0
        self.next_anyway = 0.0
        self.updated = False
        self._anyway = 0
        self._read: bytes | None = None
        self._again = 0.0
        self._told = ""
        self._next_beat = 0.0

    def run(self) -> int:
        """Work until hentou is updated; then end, to be started anew by systemd."""
        own = seen = _code()
        next_look = clock.monotonic() + _OWN_CODE
        notify(READY)
        while self.errand or not self.updated:
            self.turn()
            if clock.monotonic() >= next_look:
                before, seen, next_look = seen, _code(), clock.monotonic() + _OWN_CODE
                self.updated = bool(seen) and seen == before and seen != own
        say("hentou was updated: starting anew")
        return 0

    def turn(self) -> None:
        """Look at what has changed, do what is due, and listen for a while."""
        now = clock.monotonic()
        self._configure(now)
        self._listen(self._wait(now))
        now = clock.monotonic()
        self.neighbours.have(stand(self.disk), now)
        if self.errand:
            self._look_after(self.errand, now)
        if self.errand is None and self.known and not self.updated:
            self._start_what_is_due(now)
        for address, word in self.neighbours.questions(now):
            self._send(address, word)
        self._report(now)

    def _report(self, now: float) -> None:
        # A loop that turns, but waits for a child that cannot even be killed, makes no progress.
        stuck = self.errand is not None and now - self.errand.since > LIMIT + 2 * GRACE
        if now < self._next_beat:
            return
        self._next_beat = now + _BEAT
        present = sum(peer.present for peer in self.neighbours.all.values())
        told = f"STATUS=Sequence {self.neighbours.own.sequence}; {present} of {len(self.neighbours.all)} peers answer"
        notify(*([ALIVE] if not stuck else []), *([told] if told != self._told else []))
        self._told = told

    def _configure(self, now: float) -> None:
        data = self.disk.read_or_none(CONFIGURATION)
        if data != self._read:
            self._read = data
            try:
                self._meet(configuration(self.disk), now)
            except HentouError as error:
                # Half of the old one is better than none: whoever was a peer still is one.
                say(error.message)
        if self.known and self.channel is None:
            try:
                self.channel = Datagrams(self.known.address, self.known.port)
            except OSError:
                self.channel = None

    def _meet(self, known: Configuration | None, now: float) -> None:
        if self.channel and (known is None or self.known is None or _ear(known) != _ear(self.known)):
            self.channel.close()
            self.channel = None
        if known and self.known is None:
            self.next_anyway = now
        self.known = known
        self.neighbours.poll = known.poll if known else 60
        self.neighbours.meet(known.peers if known else {}, now)

    def _wait(self, now: float) -> float:
        if self.errand:
            return min(_WATCHED, self.neighbours.wait(now, None))
        anyway = max(self.next_anyway, self.next_start) - now if self.known else _BEAT
        return max(0.0, min(anyway, self.neighbours.wait(now, self.next_start)))

    def _listen(self, seconds: float) -> None:
        if self.channel is None:
            clock.sleep(seconds)
            return
        heard = self.channel.receive(seconds, _MOST)
        for address, data in heard:
            if said := unpack(data):
                answer = self.neighbours.hear(address, *said, clock.monotonic())
                if answer:
                    self._send(address, answer)
        if len(heard) == _MOST:
            clock.sleep(0.1)

    def _send(self, address: str, word: Word) -> None:
        if self.channel and self.known:
            self.channel.send(address, self.known.port, pack(word, self.neighbours.own))

    def _start_what_is_due(self, now: float) -> None:
        if now < self.next_start:
            return
        again = self.neighbours.own.again
        if now >= self.next_anyway:
            self._start_anyway(now)
        elif again != self._again and 0 < again <= clock.now().timestamp():
            self._again = again
            # Time has passed, which is no news: nobody needs to be asked.
            self._start(["--inbox-only"], None, now)
        elif peer := self.neighbours.next_sync(now):
            self._start(["--from", peer.name], peer, now)

    def _start_anyway(self, now: float) -> None:
        """From everybody at the start; later its own inbox, and now and then what comparing digests has missed."""
        self.next_anyway = now + ANYWAY * max(60, self.neighbours.poll) * self.neighbours.random.uniform(0.9, 1.1)
        peer = self.neighbours.somebody() if self._anyway and self._anyway % ASKING == 0 else None
        words = ["--from", peer.name] if peer else ["--inbox-only"]
        self._start(words if self._anyway else [], peer, now)
        self._anyway += 1

    def _start(self, words: Sequence[str], peer: Neighbour | None, now: float) -> None:
        if peer:
            peer.due = None
        try:
            fd = sys.stderr.fileno()
            program = spawn([self.program, "sync", *words], stdout=fd, stderr=fd, env=environment())
        except OSError as refused:
            say(f"cannot run {self.program}: {refused.strerror}")
            self._ended(peer, now, gained=False)
            return
        self.errand = Errand(program, peer, now, self.neighbours.own)

    def _look_after(self, errand: Errand, now: float) -> None:
        status = errand.program.poll()
        if status is None:
            self._hurry(errand, now)
            return
        if status:
            say(f"{errand.name} ended with status {status} after {now - errand.since:.0f} s")
        self.errand = None
        # It may have written what it has since the last look.
        self.neighbours.have(stand(self.disk), now)
        self._ended(errand.peer, now, gained=not self.neighbours.own.same_as(errand.before))

    def _ended(self, peer: Neighbour | None, now: float, *, gained: bool) -> None:
        self.next_start = now + SPACING
        if peer:
            self.neighbours.synced(peer, now, gained=gained)

    def _hurry(self, errand: Errand, now: float) -> None:
        if now - errand.since < LIMIT:
            return
        if errand.asked_to_end is None:
            say(f"{errand.name} takes longer than {LIMIT:.0f} s: it is stopped")
            errand.asked_to_end = now
            end(errand.program)
        elif now - errand.asked_to_end >= GRACE:
            end(errand.program, kill=True)


def _ear(known: Configuration) -> tuple[str, int]:
    return known.address, known.port


def _code() -> str:
    """A digest of the files that this process runs; empty while one is missing, as in the middle of an update."""
    names = {module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "hentou"}
    disk, found = Disk(), sha256()
    for name in sorted({name for name in (*names, __file__) if name}):
        data = disk.read_or_none(name)
        if data is None:
            return ""
        found.update(data)
    return found.hexdigest()


def main(root: Path = Path("/"), program: str = "/usr/bin/hentou") -> int:
    """Run the agent of this machine, for as long as it is not updated."""
    return Resident(root, program).run()


if __name__ == "__main__":
    sys.exit(main())
