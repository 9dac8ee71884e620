"""What the resident agent knows of its peers, and what follows: whom to ask, and from whom to sync, when. Pure.

Everything that a peer says is taken for a claim: it decides when to sync from whom, and a peer whose claims bring
nothing is asked ever more rarely. Times are seconds of one monotonic clock; standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from hentou.agent.hints import Stand, Word

ANSWER = 3.0
"""Seconds that an answer may take; the way through a relay over two mobile networks takes less than one."""

SOONEST, RARELY, CALM = 5.0, 20.0, 30
"""A peer that does not answer is asked again after 5 s, then ever more rarely (a thirtieth of the time it is gone); at
least every 20 s while nobody answers, else as often as one polls."""

BEHIND = 10.0
"""Seconds given to a peer that claims less than we have to catch up from us, before we look what else it has."""

SETTLE, SPREAD = 2.0, 0.2
"""Seconds that journals alone are waited for, and by which each peer of ours spreads that: after a change everybody's
journal moves, and one sync then brings what many would.
"""

LONGEST_PENALTY = 300.0
"""Seconds between syncs from a peer that claims news and never has any: twelve an hour."""

MOST_VAIN = 64
"""Vain syncs that are held against a peer: five hours of quiet and all is forgiven."""

ROUND = 30.0
"""Least seconds between two rounds of questions to everybody."""


@dataclass
class Neighbour:
    """One peer. `asked` is since when it owes an answer, `lost` since when it is known to owe one, `due` when to sync
    from it; None for no. `vain` counts syncs that brought nothing, `penalty` is until when it waits for that.
    """

    name: str
    address: str
    present: bool = False
    asked: float | None = None
    lost: float | None = None
    probed: float = 0.0
    claims: Stand | None = None
    due: float | None = None
    vain: int = 0
    penalty: float = 0.0

    def disappoint(self, now: float) -> None:
        """A sync from it brought nothing. Keeping still for a while is forgiven little by little, never at once."""
        quiet = max(0.0, now - self.penalty)
        self.vain = min(max(0, self.vain - int(quiet // LONGEST_PENALTY)) + 1, MOST_VAIN)
        self.penalty = now + min(2.0**self.vain, LONGEST_PENALTY)


@dataclass
class Neighbours:
    """All peers of one machine, which has `own` and asks around every `poll` seconds."""

    poll: float
    own: Stand = field(default_factory=Stand)
    random: Random = field(default_factory=Random)
    all: dict[str, Neighbour] = field(default_factory=dict)
    next_poll: float = 0.0
    latest_poll: float = 0.0
    next_round: float = 0.0
    round_due: float | None = None
    turn: list[str] = field(default_factory=list)

    def meet(self, peers: Mapping[str, str], now: float) -> None:
        """These are the peers now, names by address; what is known of those who stay is kept, and all are greeted."""
        known = self.all
        self.all = {address: known.get(address) or Neighbour(name, address) for address, name in peers.items()}
        self.turn = [address for address in self.turn if address in self.all]
        self.next_poll, self.latest_poll, self.round_due = now + self.poll, now + 3 * self.poll, now

    @property
    def alone(self) -> bool:
        """Whether no peer is known to be there."""
        return not any(peer.present for peer in self.all.values())

    def hear(self, address: str, word: Word, claims: Stand, now: float) -> Word | None:
        """Note what a peer said; the word to answer with, if any. Strangers are not heard."""
        peer = self.all.get(address)
        if peer is None:
            return None
        returned = self.alone
        peer.present, peer.asked, peer.lost, peer.claims = True, None, None, claims
        same = claims.same_as(self.own)
        if returned:
            # What waited for somebody to be there (own entries of the journal) goes out, whatever there is to fetch.
            self.want(peer, now)
        elif same:
            peer.due = None
        elif not claims.nothing:
            self.want(peer, now + self._delay(claims))
        if same and word is Word.ASK:
            # Compared is compared, whoever asked; but nobody may keep us from asking others by asking us.
            self.next_poll = min(self._later(now), self.latest_poll)
        return Word.TELL if word is Word.KNOCK or (word is Word.ASK and not same) else None

    def _delay(self, claims: Stand) -> float:
        if claims.sequence > self.own.sequence:
            return 0.0
        if claims.sequence < self.own.sequence:
            return BEHIND
        return SETTLE + self.random.uniform(0, SPREAD * len(self.all))

    def want(self, peer: Neighbour, when: float) -> None:
        """A sync from a peer is wanted, not before its penalty is over."""
        when = max(when, peer.penalty)
        peer.due = when if peer.due is None else min(peer.due, when)

    def have(self, own: Stand, now: float) -> None:
        """Note what this machine has now; if that is something else, everybody is asked soon whether they know."""
        if own.same_as(self.own):
            self.own = own
            return
        self.own = own
        for peer in self.all.values():
            if peer.claims and peer.claims.same_as(own):
                peer.due = None
        if self.round_due is None:
            self.round_due = max(now + 2.0, self.next_round)

    def questions(self, now: float) -> Iterator[tuple[str, Word]]:
        """Whom to ask now, and how; meant to be sent at once."""
        self._notice_silence(now)
        if self.round_due is not None and now >= self.round_due:
            self.round_due, self.next_round = None, now + ROUND
            yield from self._ask((p for p in self.all.values() if p.lost is None), Word.KNOCK, now)
        if now >= self.next_poll:
            self.next_poll = self._later(now)
            self.latest_poll = now + 3 * self.poll
            yield from self._ask(self._next_in_turn(), Word.KNOCK if self.alone else Word.ASK, now)
        yield from self._ask(self._lost_to_probe(now), Word.KNOCK, now)

    def _ask(self, peers: Iterable[Neighbour], word: Word, now: float) -> Iterator[tuple[str, Word]]:
        for peer in peers:
            if word is Word.KNOCK:
                peer.probed = now
                peer.asked = now if peer.asked is None else peer.asked
            yield peer.address, word

    def _later(self, now: float) -> float:
        return now + self.poll * self.random.uniform(0.8, 1.2)

    def _next_in_turn(self) -> Iterator[Neighbour]:
        if not self.turn:
            self.turn = self.random.sample(sorted(self.all), len(self.all))
        if self.turn:
            yield self.all[self.turn.pop()]

    def _notice_silence(self, now: float) -> None:
        for peer in self.all.values():
            if peer.asked is not None and now - peer.asked >= ANSWER:
                peer.present, peer.asked = False, None
                peer.lost = now if peer.lost is None else peer.lost

    def _lost_to_probe(self, now: float) -> Iterator[Neighbour]:
        """The lost peer that was not asked for longest, if it is time."""
        lost = [(p.probed, p.lost, p) for p in self.all.values() if p.lost is not None and p.asked is None]
        if not lost:
            return
        newest = max(since for _, since, _ in lost)
        most = min(RARELY, self.poll) if self.alone else self.poll
        if now - max(probed for probed, _, _ in lost) >= min(max(SOONEST, (now - newest) / CALM), most):
            yield min(lost, key=lambda item: (item[0], item[2].address))[2]

    def next_sync(self, now: float) -> Neighbour | None:
        """The peer to sync from now: the one that claims most, of those who are due."""
        due = [peer for peer in self.all.values() if peer.due is not None and now >= peer.due]
        return max(due, key=lambda p: (p.claims.sequence if p.claims else 0, -p.vain), default=None)

    def somebody(self) -> Neighbour | None:
        """A peer that is there, any; None when there is none."""
        present = [peer for peer in self.all.values() if peer.present]
        return self.random.choice(present) if present else None

    def synced(self, peer: Neighbour, now: float, *, gained: bool) -> None:
        """A sync from a peer ended; `gained` is whether this machine has something else since."""
        if gained:
            peer.vain, peer.penalty = 0, now
        else:
            peer.disappoint(now)
            # What it said meanwhile waits like anything that it says.
            peer.due = max(peer.due, peer.penalty) if peer.due is not None else None
        left = peer.claims is not None and not peer.claims.same_as(self.own)
        # Half of it may have come; but who claims less than we have is left to catch up.
        if left and peer.present and peer.claims and peer.claims.sequence >= self.own.sequence:
            self.want(peer, now + self._delay(peer.claims))

    def wait(self, now: float, free: float | None = 0.0) -> float:
        """Seconds until there is something to do, if nothing is heard; at most `SOONEST`.

        `free` is from when on a sync may be started; None while one is under way.
        """
        times = [now + SOONEST, self.next_poll]
        if free is not None:
            times += [max(p.due, free) for p in self.all.values() if p.due is not None]
        times += [p.asked + ANSWER for p in self.all.values() if p.asked is not None]
        times += [self.round_due] if self.round_due is not None else []
        return max(0.0, min(times) - now)
