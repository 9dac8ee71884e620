"""Where several persons must sign: proposals, cosigning, joins, and the whole history verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from publish_world import Laptop, World, public

from hentou.admin import cosign, gather, rosters, verify
from hentou.admin.chain import own_branch, settle
from hentou.admin.deliver import Delivery, Fate, deliver
from hentou.admin.signing import choose
from hentou.errors import HentouError
from hentou.ledger import statements

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, ("yuna", "malo", "nora"), threshold=2)


def add_signature(laptop: Laptop) -> tuple[Delivery, ...]:
    """What `hentou cosign` does, without its questions."""
    gathered = gather.fetch(laptop.copy, laptop.reach)
    if laptop.copy.trust is None and (origin := gather.meet(laptop.copy, gathered)):
        laptop.copy.keep(origin.trust, origin.tip)
        gathered = gather.digest(laptop.copy, gathered.heard)
    (proposal,) = cosign.fetch(laptop.copy, laptop.reach)
    signer = choose(laptop.copy, own_branch(laptop.copy).trust.roster)
    kept = cosign.countersign(laptop.copy, proposal, signer, gathered.branches)
    return deliver(laptop.reach, settle(laptop.copy, kept, signer.person, gathered.branches), signer.person)


def test_two_persons_sign_one_after_the_other(world: World) -> None:
    first = world.yuna.publish()
    assert {d.fate for d in first.deliveries} == {Fate.WAITING}
    assert first.settled.missing == "signed by yuna: 1 of the 2 persons that a change needs"
    assert all(box.trust.sequence == 0 for box in world.boxes.values())
    malo = world.laptop("malo")
    assert {d.fate for d in add_signature(malo)} == {Fate.ACCEPTED}
    for box in world.boxes.values():
        assert box.trust == malo.copy.trust
        assert box.trust.head == world.yuna.copy.head
    # The proposer learns of it by the machines, and what was proposed is forgotten.
    assert gather.fetch(world.yuna.copy, world.yuna.reach).steps == 1
    assert not world.yuna.copy.proposals()
    with pytest.raises(HentouError, match="is published already"):
        from hentou.admin.publish import propose

        propose(world.yuna.copy)


def test_publishing_again_signs_nothing_twice(world: World) -> None:
    first = world.yuna.publish().settled.kept
    assert world.yuna.publish().settled.kept == first


def test_three_persons_may_sign_at_the_same_time(tmp_path: Path) -> None:
    world = World(tmp_path, ("yuna", "malo", "nora"), threshold=3)
    world.yuna.publish()
    malo, nora = world.laptop("malo"), world.laptop("nora")
    nora.reach.down = {"konkarlab-1"}
    assert {d.fate for d in add_signature(malo)} == {Fate.WAITING}
    # Nora's has all three; the machine that she cannot reach waits for a peer.
    assert [d.fate for d in add_signature(nora)] == [Fate.ACCEPTED, Fate.UNREACHABLE]
    assert [d.fate for d in world.yuna.publish().deliveries] == [Fate.ACCEPTED, Fate.ACCEPTED]


def test_a_join_is_cosigned_with_its_bridges(world: World) -> None:
    world.yuna.publish()
    malo = world.laptop("malo")
    add_signature(malo)
    nora = world.laptop("nora")
    gather_trust(nora)
    world.yuna.reach.down = {"konkarlab-1"}
    malo.reach.down = {"kerminy-1"}
    nora.reach.down = {"kerminy-1"}
    world.yuna.commit("content/one", "1")
    world.yuna.publish()
    helper = world.laptop("helper")
    helper.git("config", "user.signingkey", str(world.key("malo")))
    helper.reach.down = {"konkarlab-1"}
    add_signature(helper)
    for text in ("2", "3"):
        malo.commit("content/two", text)
        malo.publish()
        add_signature(nora)
    assert [box.trust.sequence for box in world.boxes.values()] == [2, 3]

    world.yuna.reach.down = set()
    with pytest.raises(HentouError, match="does not descend") as failed:
        world.yuna.publish()
    world.yuna.git(*failed.value.hint.split()[1:], "-m", "Both")
    assert {d.fate for d in world.yuna.publish().deliveries} == {Fate.WAITING}
    nora.reach.down = set()
    assert {d.fate for d in add_signature(nora)} == {Fate.ACCEPTED}
    assert {box.trust.sequence for box in world.boxes.values()} == {4}
    found = list(verify.verify(nora.copy))
    assert [one.kept.statement.sequence for one in found] == [1, 2, 2, 3, 3, 4]
    assert all(len(one.people) == 2 and not one.wrong for one in found)


def gather_trust(laptop: Laptop) -> None:
    origin = gather.meet(laptop.copy, gather.fetch(laptop.copy, laptop.reach))
    assert origin
    laptop.copy.keep(origin.trust, origin.tip)


def test_what_does_not_verify_is_told(world: World) -> None:
    world.yuna.publish()
    malo = world.laptop("malo")
    add_signature(malo)
    (good,) = verify.verify(malo.copy)
    assert (good.people, good.wrong) == (("malo", "yuna"), "")
    assert verify.published_as(malo.copy, malo.copy.head, [good]) == 1
    bad = replace(good.kept.statement, head="0" * 40)
    kept = statements.write(malo.copy.store, bad, good.kept.signatures.values(), ())
    trust = malo.copy.trust
    assert trust
    malo.copy.keep(replace(trust, statement=bad.digest), kept.commit)
    with pytest.raises(HentouError, match="the head 000000000000 of its first step is not here"):
        list(verify.verify(malo.copy))


def test_a_person_who_only_comes_may_cosign(tmp_path: Path) -> None:
    world = World(tmp_path)
    laptop = world.yuna
    laptop.publish()
    rosters.add(laptop.directory, "nora", public(world.key("nora")))
    rosters.threshold(laptop.directory, 2)
    assert {d.fate for d in laptop.publish().deliveries} == {Fate.WAITING}
    nora = world.laptop("nora")
    gather_trust(nora)
    (proposal,) = cosign.fetch(nora.copy, nora.reach)
    signer = cosign.choose(nora.copy, proposal)
    assert (signer.person, proposal.people) == ("nora", {"yuna"})
    assert proposal.missing == "signed by 1 of the 2 persons that the new roster needs"
    assert not cosign.adds(nora.copy, proposal, cosign.choose(nora.copy, proposal, world.key("yuna")))
    settled = settle(nora.copy, cosign.countersign(nora.copy, proposal, signer), "nora")
    assert {d.fate for d in deliver(nora.reach, settled, "nora")} == {Fate.ACCEPTED}


def test_a_stranger_with_a_roster_of_their_own_proposes_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.yuna.publish()
    other = world.laptop("nora")
    gather_trust(other)
    rosters.add(other.directory, "nora", public(world.key("nora")))
    settled = other.publish().settled
    assert settled.here
    assert [p.people for p in cosign.proposals(other.copy, [settled.kept.commit])] == [{"nora"}]
    world.yuna.git("fetch", "--quiet", str(other.directory), "main", settled.kept.commit)
    assert cosign.proposals(world.yuna.copy, [settled.kept.commit]) == ()


def test_a_proposal_with_a_broken_roster_hides_no_other(world: World) -> None:
    laptop = world.yuna
    good = laptop.publish().settled.kept
    head = laptop.commit("roster.yaml", "admins: [\n")
    bad = replace(good.statement, head=head, epoch=2)
    signature = choose(laptop.copy, own_branch(laptop.copy).trust.roster).sign(bad)
    kept = statements.write(laptop.copy.store, bad, [signature], ())
    assert [p.last for p in cosign.proposals(laptop.copy, [kept.commit, good.commit])] == [good]
