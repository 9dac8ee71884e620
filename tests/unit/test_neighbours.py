"""Whom the agent asks and when it syncs, in a small world with its own clock: traffic, partitions, liars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from random import Random

import pytest

from hentou.agent.hints import Stand, Word
from hentou.agent.neighbours import LONGEST_PENALTY, Neighbour, Neighbours

DAY = 86400.0
WIRE = 140
"""Bytes of one hint on the line: 29 with IPv6 and UDP, padded, are 80; WireGuard adds 32, UDP and IPv4 around it 28."""


def everybody(*_: str) -> bool:
    return True


def nobody(*_: str) -> bool:
    return False


def stand(sequence: int, facts: frozenset[str] = frozenset()) -> Stand:
    return Stand(sequence, sha256(f"{sequence} {sorted(facts)}".encode()).digest()[:16])


@dataclass
class Node:
    """One machine: what it knows, and a sync that takes a second."""

    name: str
    neighbours: Neighbours
    sequence: int = 1
    facts: frozenset[str] = frozenset()
    syncing: tuple[float, Neighbour] | None = None
    syncs: list[tuple[float, str]] = field(default_factory=list)
    sent: int = 0
    received: int = 0

    @property
    def own(self) -> Stand:
        return stand(self.sequence, self.facts)


class World:
    """Machines that reach each other unless `cut` says no. Time jumps to where something happens."""

    def __init__(self, count: int, poll: float = 60, seed: int = 1) -> None:
        self.now = 1000.0
        self.cut: Callable[[str, str], bool] = nobody
        names = [f"m{number}" for number in range(count)]
        self.nodes = {name: Node(name, Neighbours(poll, random=Random(f"{seed} {name}"))) for name in names}
        for node in self.nodes.values():
            node.neighbours.meet({name: name for name in names if name != node.name}, self.now)
            node.neighbours.have(node.own, self.now)

    def send(self, one: Node, address: str, word: Word) -> None:
        other = self.nodes[address]
        one.sent += 1
        if self.cut(one.name, other.name):
            return
        other.received += 1
        if answer := other.neighbours.hear(one.name, word, one.neighbours.own, self.now):
            self.send(other, one.name, answer)

    def turn(self, node: Node) -> None:
        node.neighbours.have(node.own, self.now)
        if node.syncing and self.now >= node.syncing[0] + 1:
            self.end(node, node.syncing[1])
        if node.syncing is None and (peer := node.neighbours.next_sync(self.now)):
            peer.due = None
            node.syncing = (self.now, peer)
            node.syncs.append((self.now, peer.name))
        for address, word in node.neighbours.questions(self.now):
            self.send(node, address, word)

    def end(self, node: Node, peer: Neighbour) -> None:
        other, before = self.nodes[peer.name], node.own
        if not self.cut(node.name, peer.name):
            node.sequence, node.facts = max(node.sequence, other.sequence), node.facts | other.facts
        node.syncing = None
        node.neighbours.have(node.own, self.now)
        node.neighbours.synced(peer, self.now, gained=node.own != before)
        if node.own != before:
            self.hint(node)

    def hint(self, node: Node) -> None:
        """As `hentou sync` does at its end."""
        node.neighbours.have(node.own, self.now)
        for address in node.neighbours.all:
            self.send(node, address, Word.TELL)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            for node in self.nodes.values():
                self.turn(node)
            waits = [max(0.05, node.neighbours.wait(self.now)) for node in self.nodes.values()]
            self.now += min(*waits, 1.0 if any(node.syncing for node in self.nodes.values()) else 5.0)

    def until(self, done: Callable[[], bool], most: float) -> float:
        """Seconds until something holds; it must within `most`."""
        begin = self.now
        while not done():
            assert self.now - begin <= most, f"not within {most} s"
            self.run(0.05)
        return self.now - begin

    @property
    def agreed(self) -> bool:
        return len({node.own.digest for node in self.nodes.values()}) == 1


@pytest.mark.parametrize("count", [2, 3, 10])
def test_idle_traffic_of_a_month_is_small(count: int) -> None:
    world = World(count)
    world.run(600)
    for node in world.nodes.values():
        node.sent = node.received = 0
    world.run(DAY)
    for node in world.nodes.values():
        assert (node.sent + node.received) * WIRE * 30 <= 9_000_000, node.name
        assert (node.sent + node.received) * WIRE * 30 >= 3_000_000, "does it ask at all?"
        assert node.syncs == node.syncs[: count + 1]


def test_a_month_with_a_peer_that_is_away_costs_little_more() -> None:
    world = World(3)
    world.run(60)
    world.cut = lambda one, other: "m2" in (one, other)
    world.nodes["m0"].sequence = 2
    world.hint(world.nodes["m0"])
    for node in world.nodes.values():
        node.sent = node.received = 0
    world.run(DAY)
    assert all((node.sent + node.received) * WIRE * 30 <= 15_000_000 for node in world.nodes.values())


def test_a_month_alone_costs_little_more() -> None:
    world = World(2)
    world.cut = everybody
    world.run(DAY)
    assert all(node.sent * WIRE * 30 <= 22_000_000 and not node.syncs for node in world.nodes.values())


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_hint_makes_everybody_sync_at_once(count: int) -> None:
    world = World(count)
    world.run(120)
    first = world.nodes["m0"]
    first.sequence = 2
    world.hint(first)
    assert world.until(lambda: all(node.sequence == 2 for node in world.nodes.values()), 3) <= 3


def test_without_the_hint_a_question_finds_it() -> None:
    world = World(3)
    world.run(120)
    world.nodes["m0"].sequence = 2
    world.until(lambda: world.agreed, 90)


def test_a_lost_hint_is_made_up_for_by_a_question_to_everybody() -> None:
    world = World(4)
    world.run(120)
    world.cut = everybody
    first = world.nodes["m0"]
    first.sequence = 2
    world.hint(first)
    world.cut = nobody
    world.until(lambda: world.agreed, 10)


@pytest.mark.parametrize("hours", [0.02, 0.5, 24 * 30])
def test_two_that_were_cut_from_each_other_converge_by_themselves(hours: float) -> None:
    world = World(2)
    world.run(300)
    world.cut = everybody
    world.run(10)
    world.nodes["m0"].sequence = 5
    world.nodes["m1"].facts = frozenset({"m1: hand edit"})
    world.run(min(hours, 24) * 3600)
    world.cut = nobody
    assert world.until(lambda: world.agreed, 25) <= 25
    assert world.nodes["m1"].sequence == 5


def test_two_halves_that_were_cut_from_each_other_converge_by_themselves() -> None:
    world = World(6)
    world.run(300)
    world.cut = lambda one, other: (one in ("m0", "m1", "m2")) != (other in ("m0", "m1", "m2"))
    world.nodes["m0"].sequence = 5
    world.hint(world.nodes["m0"])
    world.nodes["m4"].facts = frozenset({"m4: a report"})
    world.hint(world.nodes["m4"])
    world.run(3600)
    assert {node.sequence for node in world.nodes.values()} == {1, 5}
    world.cut = nobody
    world.until(lambda: world.agreed, 60)


def test_one_that_boots_syncs_with_the_first_that_answers() -> None:
    world = World(3)
    world.cut = lambda one, other: "m2" in (one, other)
    world.run(3600)
    assert not world.nodes["m2"].syncs
    world.cut = nobody
    world.until(lambda: bool(world.nodes["m2"].syncs), 25)


def test_what_many_have_to_tell_at_once_spreads_and_settles() -> None:
    world = World(10)
    world.run(300)
    for node in world.nodes.values():
        node.syncs.clear()
        node.facts = frozenset({f"{node.name}: activated"})
    for node in world.nodes.values():
        world.hint(node)
    world.until(lambda: world.agreed, 60)
    assert max(len(node.syncs) for node in world.nodes.values()) <= 15
    world.run(900)
    assert max(len(node.syncs) for node in world.nodes.values()) <= 25


def liar(said: Iterator[Stand], *, every: float, node: Node, world: World, hours: float) -> int:
    """One peer claims something else all the time and never has it; how many syncs an hour that costs in the end."""
    end = world.now + hours * 3600
    while world.now < end:
        node.neighbours.hear("m1", Word.TELL, next(said), world.now)
        world.run(every)
    return sum(at > end - 3600 for at, name in node.syncs if name == "m1")


def claims(*sequences: int) -> Iterator[Stand]:
    number = 0
    while True:
        for sequence in sequences:
            number += 1
            yield stand(sequence, frozenset({f"lie {number}"}))


@pytest.mark.parametrize("sequences", [(99,), (1,), (0,), (99, 1, 0)])
def test_a_liar_costs_a_bounded_number_of_syncs(sequences: tuple[int, ...]) -> None:
    world = World(3)
    world.cut = lambda one, other: "m1" in (one, other)
    assert liar(claims(*sequences), every=5, node=world.nodes["m0"], world=world, hours=3) <= 14


def test_a_liar_that_speaks_the_truth_in_between_is_not_forgiven_for_it() -> None:
    world = World(3)
    world.cut = lambda one, other: "m1" in (one, other)
    node = world.nodes["m0"]

    def said() -> Iterator[Stand]:
        while True:
            yield node.own
            yield stand(99)

    assert liar(said(), every=2, node=node, world=world, hours=3) <= 14


def test_a_liar_does_not_keep_others_news_away() -> None:
    world = World(3)
    world.run(120)
    world.cut = lambda one, other: "m1" in (one, other)
    node, other = world.nodes["m0"], world.nodes["m2"]
    liar(claims(99), every=1, node=node, world=world, hours=0.5)
    other.sequence = 2
    for _ in range(180):
        # It even keeps asking, so that everything seems to have been compared just now.
        node.neighbours.hear("m1", Word.ASK, node.own, world.now)
        world.run(1)
    assert node.sequence == 2


def test_strangers_are_not_heard() -> None:
    found = Neighbours(60)
    found.meet({"fd00::1": "anchor"}, 0)
    assert found.hear("fd00::2", Word.KNOCK, stand(9), 1) is None
    assert found.next_sync(10) is None
    assert found.alone


def test_everybody_else_is_answered_once() -> None:
    """Nothing that is said calls for an answer that calls for an answer."""
    found = Neighbours(60)
    found.meet({"a": "anchor"}, 0)
    found.have(stand(1), 0)
    same, other = stand(1), stand(2)
    answers = {(word, claim == same): found.hear("a", word, claim, 1) for word in Word for claim in (same, other)}
    assert answers == {
        (Word.ASK, True): None, (Word.ASK, False): Word.TELL,
        (Word.KNOCK, True): Word.TELL, (Word.KNOCK, False): Word.TELL,
        (Word.TELL, True): None, (Word.TELL, False): None,
    }  # fmt: skip


def test_peer_that_has_nothing_is_not_synced_from_but_told() -> None:
    found = Neighbours(60)
    found.meet({"a": "anchor", "b": "buoy"}, 0)
    found.have(stand(1), 0)
    found.hear("b", Word.TELL, stand(1), 1)
    peer = found.next_sync(2)
    assert peer
    peer.due = None
    assert found.hear("a", Word.ASK, Stand(), 3) is Word.TELL
    assert found.next_sync(100) is None


def test_penalties_grow_to_a_limit_and_fade() -> None:
    peer = Neighbour("anchor", "a")
    now, waits = 0.0, []
    for _ in range(12):
        peer.disappoint(now)
        waits.append(peer.penalty - now)
        now = peer.penalty
    assert all(one <= other for one, other in pairwise(waits))
    assert (waits[0], waits[-1]) == (2, LONGEST_PENALTY)
    peer.disappoint(now + 20 * LONGEST_PENALTY)
    assert peer.penalty == now + 20 * LONGEST_PENALTY + 2


def test_peers_that_stay_are_still_known_when_others_come() -> None:
    found = Neighbours(60)
    found.meet({"a": "anchor", "b": "buoy"}, 0)
    found.hear("a", Word.TELL, stand(7), 1)
    found.meet({"a": "anchor", "c": "cove"}, 2)
    assert found.all["a"].claims == stand(7)
    assert set(found.all) == {"a", "c"}
    assert {address for address, _ in found.questions(2)} == {"a", "c"}
