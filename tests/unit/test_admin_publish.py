"""An admin signs and publishes; machines, which are directories here, accept as they do in life."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from publish_world import World, make_key, shell

from hentou.admin import gather, publish, signing
from hentou.admin.chain import own_branch
from hentou.admin.deliver import Fate
from hentou.admin.workcopy import WorkCopy
from hentou.errors import HentouError

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_one_admin_publishes_without_ceremony(world: World) -> None:
    laptop = world.yuna
    done = laptop.publish()
    assert [d.fate for d in done.deliveries] == [Fate.ACCEPTED, Fate.ACCEPTED]
    head = laptop.copy.head
    for box in world.boxes.values():
        assert (box.trust.sequence, box.trust.head) == (1, head)
        assert box.activated == [head]
    assert laptop.copy.trust == box.trust


def test_what_is_published_is_only_delivered(world: World) -> None:
    laptop = world.yuna
    laptop.reach.down = {"kerminy-1"}
    done = laptop.publish()
    assert [d.fate for d in done.deliveries] == [Fate.UNREACHABLE, Fate.ACCEPTED]
    laptop.reach.down = set()
    before = laptop.copy.trust
    assert [d.fate for d in laptop.publish().deliveries] == [Fate.ACCEPTED, Fate.ACCEPTED]
    assert laptop.copy.trust == before == world.boxes["kerminy-1"].trust


def test_head_must_descend_from_what_is_accepted(world: World) -> None:
    laptop = world.yuna
    laptop.publish()
    first = laptop.copy.head
    laptop.git("commit", "--quiet", "--amend", "-m", "Another history")
    with pytest.raises(HentouError, match="does not descend") as failed:
        laptop.publish()
    assert failed.value.hint == f"git merge {first[:12]}"


def test_an_unclean_working_copy_is_not_published(world: World) -> None:
    world.yuna.write("collective.yaml", "name: other\n")
    world.yuna.write("new file", "")
    with pytest.raises(HentouError, match=r"not committed: collective\.yaml, new file"):
        world.yuna.publish()


def test_a_key_outside_the_roster_is_told(world: World, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")
    with pytest.raises(HentouError, match=r"no key of the roster to sign with: looked at .*stranger \(SHA256:"):
        world.yuna.publish(stranger)


def test_a_divided_collective_is_joined(world: World) -> None:
    """Two admins publish for one step, in two halves of a collective; each half accepts its own."""
    yuna = world.yuna
    yuna.publish()
    other = world.laptop("other")
    other.git("config", "user.signingkey", str(world.key("yuna")))
    origin = gather.meet(other.copy, gather.fetch(other.copy, other.reach))
    assert origin
    other.copy.keep(origin.trust, origin.tip)
    yuna.reach.down, other.reach.down = {"konkarlab-1"}, {"kerminy-1"}
    yuna.commit("content/one", "1")
    yuna.publish()
    for number in range(3):
        other.commit("content/two", f"{number}")
        other.publish()
    assert [box.trust.sequence for box in world.boxes.values()] == [2, 4]

    yuna.reach.down = set()
    with pytest.raises(HentouError, match=r"konkarlab-1 follow .* does not descend") as failed:
        yuna.publish()
    yuna.git(*failed.value.hint.split()[1:], "-m", "Both")
    done = yuna.publish()
    assert [d.fate for d in done.deliveries] == [Fate.ACCEPTED, Fate.ACCEPTED]
    assert done.settled.kept.statement.sequence == 5
    assert len(done.settled.kept.statement.previous) == 2
    for box in world.boxes.values():
        assert box.trust == yuna.copy.trust
    # The other laptop follows by what the machines show, and may go on.
    other.reach.down = set()
    other.git(
        "merge",
        "--quiet",
        "--ff-only",
        str(gather.fetch(other.copy, other.reach) and own_branch(other.copy).trust.head),
    )
    other.commit("content/three", "3")
    assert other.publish().settled.kept.statement.sequence == 6


def test_the_trust_of_a_laptop_survives_a_cut(world: World) -> None:
    """The power goes between the ref and the file."""
    laptop = world.yuna
    before = laptop.copy.trust
    assert before
    laptop.publish()
    after = laptop.copy.trust
    laptop.copy.write("hentou/trust.json", before.json)
    assert own_branch(laptop.copy).trust == after == laptop.copy.trust


def test_proposals_continue_one_statement(world: World) -> None:
    laptop = world.yuna
    first = publish.propose(laptop.copy).last
    assert (first.sequence, first.previous, first.epoch) == (1, (), 1)
    laptop.publish()
    with pytest.raises(publish.NothingNewError):
        publish.propose(laptop.copy)
    laptop.commit("content/x", "x")
    assert publish.propose(laptop.copy).last.previous == (first.digest,)


def test_a_key_that_only_the_agent_has(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = world.yuna
    laptop.git("config", "--unset", "user.signingkey")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(HentouError, match=r"there is none in ~/\.ssh, and no agent holds one"):
        laptop.publish()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    with subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL) as agent:
        try:
            while not (tmp_path / "agent").exists():
                time.sleep(0.01)
            shell("ssh-add", "-q", make_key(tmp_path / "stranger"), world.key("yuna"))
            world.key("yuna").unlink()
            assert {d.fate for d in laptop.publish().deliveries} == {Fate.ACCEPTED}
        finally:
            agent.terminate()


def test_a_private_key_tells_its_public_half(world: World) -> None:
    laptop, key = world.yuna, world.key("yuna")
    Path(f"{key}.pub").unlink()
    signer = signing.choose(laptop.copy, own_branch(laptop.copy).trust.roster, key)
    assert (signer.person, signer.file) == ("yuna", key)


def test_a_linked_working_copy_shares_what_is_accepted(world: World) -> None:
    laptop = world.yuna
    laptop.publish()
    laptop.git("worktree", "add", "-q", "-b", "try", str(world.place / "linked"))
    linked = WorkCopy(world.place / "linked")
    assert linked.trust == laptop.copy.trust
    with pytest.raises(HentouError, match="is inside a repository"):
        _ = WorkCopy(laptop.directory / "sites").store
    with pytest.raises(HentouError, match="is not in a Git repository"):
        _ = WorkCopy(world.boxes["kerminy-1"].root).store
