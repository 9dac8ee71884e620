"""One sync: take in what admins pushed and what peers have, tell the others, follow.

`sync(host, options) -> Report` is what `hentou sync` runs. In order: the trust state is put right after a power cut;
the inbox; statements of all peers, asked at once, each taken in as it arrives, then its journals; the members;
own journal entries; activation as a process (`agent.follow`); hints to the peers when anything advanced.
Taking in is for the holder of `trusted.LOCK`; activating for that of `follow.LOCK`: a long activation keeps nobody
from accepting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hentou.agent import hints, journals
from hentou.agent.follow import Done, Follower, converge
from hentou.agent.host import Host
from hentou.agent.inbox import Inbox
from hentou.agent.incoming import CONFIGURATION, Answer, Incoming, Peer, peers
from hentou.agent.intake import Intake, Source
from hentou.agent.local import this_machine
from hentou.agent.members import derive, members
from hentou.agent.synced import Memory, Step
from hentou.agent.trusted import TrustStore
from hentou.effects.system import die
from hentou.errors import HentouError
from hentou.trust.acceptance import RefusedError, Why

STALE = 300.0
"""Seconds after which a lock in a repository is nobody's; none is held for longer than one command takes."""

SINCE_BOOT = "/run/hentou/synced"
"""In memory: a sync has run since this boot. Before that, every lock is left over."""

PATIENCE = 30.0
"""Seconds that a sync waits for another one to end."""


@dataclass(frozen=True)
class Options:
    """What a sync does: ask only this peer (`only`), no peers at all, activate nothing; and, for drills, die before
    the cut point of this number, counted from 1. `run` activates a commit.
    """

    only: str = ""
    inbox_only: bool = False
    follow: bool = True
    stop_before: int | None = None
    run: Callable[[str], Done] = converge


@dataclass
class Report:
    """What a sync did: how many steps were accepted and where that leads; what was refused, by source, and what waits
    in the inbox for signatures or its head, by person; peers, each with why it did not answer or an empty text; what
    went wrong on this machine meanwhile; what was activated, and what the newest head waits for if it was not.
    """

    accepted: int = 0
    sequence: int = 0
    head: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    activated: list[tuple[str, Done]] = field(default_factory=list)
    waits: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        done = [{"commit": commit, "status": one.status, "message": one.message} for commit, one in self.activated]
        return {**vars(self), "activated": done}


class Points:
    """Where a drill may stop this process dead, as a power cut would."""

    def __init__(self, stop_before: int | None) -> None:
        self._stop_before = stop_before
        self.passed = 0

    def __call__(self) -> None:
        """Pass one point."""
        self.passed += 1
        if self.passed == self._stop_before:
            die()


class Sync:
    """One run. What it does is in `run`."""

    def __init__(self, host: Host, options: Options | None = None) -> None:
        self.host = host
        self.options = options or Options()
        self.point = Points(self.options.stop_before)
        self.trusted = TrustStore(host, self.point)
        self.inbox = Inbox(host.disk)
        self.incoming = Incoming(host.disk)
        self.follower = Follower(self.trusted, lambda: Memory(host.disk), self.options.run)
        self.report = Report()

    def run(self) -> Report:
        """Do it all; NotPinnedError on a machine that follows nobody, LockedError when another sync does not end."""
        self.trusted.pinned()
        with self.trusted.lock(PATIENCE):
            self.take_in(ask=not self.options.inbox_only)
        self._notice()
        self._tell_others()
        if self.options.follow:
            self._follow()
        return self.report

    def take_in(self, *, ask: bool) -> None:
        """Accept what the inbox and, if wanted, the peers give. For the holder of the lock."""
        self.point()
        self._unlock()
        self.trusted.prepare()
        self.trusted.repair()
        self.inbox.prepare()
        intake = Intake(self.trusted, Memory(self.host.disk))
        self._remember(intake)
        self.point()
        self.inbox.take_in(intake)
        if ask:
            self._ask(intake)
            # A head that was not pushed here may have come from a peer.
            self.inbox.take_in(intake)
        self.point()
        self._remember(intake)
        self._conclude(intake)

    def _unlock(self) -> None:
        """Remove locks that a power cut, or a process that was killed, left in the repositories."""
        disk = self.host.disk
        age = STALE if disk.stat(SINCE_BOOT) else 0.0
        for store in (self.trusted.repo, self.inbox.store, self.incoming.store):
            store.unlock(age)
        if not age:
            disk.make_directory(SINCE_BOOT.rpartition("/")[0])
            disk.write(SINCE_BOOT, b"", 0o600)

    def _ask(self, intake: Intake) -> None:
        everyone = peers(self.host.disk, self.options.only)
        if self.options.only and not everyone:
            raise HentouError(f"no peer is called {self.options.only}", f"they are named in {CONFIGURATION}")
        if not everyone:
            return
        self.incoming.prepare()
        self.point()
        with self.incoming.asked(everyone) as answers:
            for answer in answers:
                self._hear(intake, answer)
                self.point()

    def _hear(self, intake: Intake, answer: Answer) -> None:
        """Take in what one peer has."""
        peer = answer.peer
        name = f"peer {peer.name}"
        self.report.peers[peer.name] = answer.why
        if answer.away:
            self.host.tell(f"{name}: {answer.why}")
            return
        if answer.why:
            why = f"its statements could not be fetched: {answer.why}"
            intake.refuse(name, RefusedError(Why.UNFETCHED, why))
            return
        try:
            if answer.tip:
                intake.take(self._source(peer, name), answer.tip)
        except RefusedError as refused:
            intake.refuse(name, refused)
        except HentouError as error:
            # A full disk, or an object that Git chokes on: the next peer may still get through.
            self.report.errors[name] = error.message
            self.host.tell(f"{name}: {error.message}")
        else:
            intake.memory.well(name)
        self._exchange(peer)

    def _source(self, peer: Peer, name: str) -> Source:
        return Source(name, self.incoming.store, lambda commit: self.incoming.want(peer, commit))

    def _exchange(self, peer: Peer) -> None:
        """Replicate journals with one peer."""
        derive(self.host.disk, self.trusted.repo, self.trusted.pinned().head)
        own = ""
        with suppress(HentouError):
            own = this_machine(self.host.disk)
        # The own journal first: without it, nothing is written.
        if why := self.incoming.journals(peer, sorted(members(self.host.disk).journals, key=lambda name: name != own)):
            self.host.tell(f"peer {peer.name}: its journals could not be fetched: {why}")
            return
        try:
            journals.exchange(self.host, self.incoming.store, peer.name)
        except HentouError as error:
            self.host.tell(f"journals of peer {peer.name}: {error.message}")

    def _remember(self, intake: Intake) -> None:
        """Let the record of steps follow trust.json, after a power cut or a pin; derive what depends on the head."""
        trust = self.trusted.pinned()
        # `hentou converge --retry` may have brought in what had failed.
        intake.memory.forgive(self.host.store.state().commit)
        if trust.sequence and self.trusted.complete():
            intake.memory.accept([Step(trust.sequence, trust.head, self.host.moment())])
            derive(self.host.disk, self.trusted.repo, trust.head)

    def _conclude(self, intake: Intake) -> None:
        trust = self.trusted.pinned()
        self.report.accepted += intake.accepted
        self.report.sequence, self.report.head = trust.sequence, trust.head
        self.report.refused |= intake.refused
        self.report.waiting |= intake.waiting
        intake.memory.wait(intake.waiting)
        for person, why in intake.waiting.items():
            self.host.tell(f"waits in the inbox, from {person}: {why}")

    def _follow(self) -> None:
        self.point()
        self.report.activated = self.follower.follow()
        self.point()
        if self.report.activated:
            self._notice()
            self._tell_others()
        choice = self.follower.choice()
        self.report.waits = "" if choice.commit else choice.why

    def _notice(self) -> None:
        """Write own events to the journal; whatever is wrong with it keeps nobody from following."""
        try:
            journals.notice(self.host)
        except HentouError as error:
            self.host.tell(f"the journal: {error.message}")

    def _tell_others(self) -> None:
        """Tell the peers, if this machine has something that it did not have before."""
        try:
            if hints.refresh(self.host, self.trusted.repo, self.follower.again()):
                hints.send(self.host)
        except HentouError as error:
            self.host.tell(f"hints: {error.message}")


def sync(host: Host, options: Options | None = None) -> Report:
    """Run one sync of this machine."""
    return Sync(host, options).run()


def take_in_inbox(host: Host) -> None:
    """Accept what admins pushed to this machine; LockedError when another sync does not end soon."""
    run = Sync(host)
    run.trusted.pinned()
    with run.trusted.lock(PATIENCE):
        run.take_in(ask=False)


__all__: Sequence[str] = ("Options", "Points", "Report", "Sync", "sync", "take_in_inbox")
