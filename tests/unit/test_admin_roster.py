"""roster.yaml is changed line by line, its epoch counted; another admin replaces a lost laptop's key."""

from __future__ import annotations

from pathlib import Path

import pytest
from publish_world import Laptop, World, make_key, public

from hentou.admin import gather, rosterfile, rosters
from hentou.admin.deliver import Fate
from hentou.errors import HentouError
from hentou.trust.roster import fingerprint

pytestmark = pytest.mark.integration

FILE = b"""\
# Who decides.
threshold: 1  # one is enough

admins:
  # The founder.
  yuna:
    - ssh-ed25519 AAAA yuna@laptop
    # In the safe.
    - ssh-ed25519 BBBB
  malo:
    - ssh-ed25519 CCCC

# The end.
"""


def test_numbers_keep_their_remarks() -> None:
    data = rosterfile.set_number(rosterfile.set_number(FILE, "threshold", 2), "epoch", 3)
    assert data == FILE.replace(b"threshold: 1  #", b"epoch: 3\nthreshold: 2  #")


def test_keys_come_and_go_on_their_own_lines() -> None:
    added = rosterfile.add_key(FILE, "yuna", "ssh-ed25519 DDDD new")
    assert added == FILE.replace(b"BBBB\n", b"BBBB\n    - ssh-ed25519 DDDD new\n")
    dropped = rosterfile.drop_keys(added, "yuna", ["ssh-ed25519 BBBB"])
    assert dropped == added.replace(b"    - ssh-ed25519 BBBB\n", b"")


def test_people_come_and_go() -> None:
    added = rosterfile.add_key(FILE, "nora", "ssh-ed25519 DDDD")
    assert added == FILE.replace(b"CCCC\n", b"CCCC\n  nora:\n    - ssh-ed25519 DDDD\n")
    assert rosterfile.drop_person(added, "nora") == FILE
    assert rosterfile.drop_person(FILE, "malo") == FILE.replace(b"  malo:\n    - ssh-ed25519 CCCC\n", b"")
    assert b"nora" in rosterfile.add_key(b"threshold: 1\n", "nora", "ssh-ed25519 DDDD")


@pytest.mark.parametrize(
    "text", ["admins: {yuna: [ssh-ed25519 AAAA]}\n", 'admins:\n  yuna: ["ssh-ed25519 AAAA"]\n', "admins:\n  yuna:\n"]
)
def test_what_lines_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(HentouError, match="cannot be changed line by line"):
        rosterfile.add_key(text.encode(), "yuna", "ssh-ed25519 DDDD")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, ("yuna", "malo"))


def test_the_epoch_counts_once_for_each_published_change(world: World, tmp_path: Path) -> None:
    laptop = world.yuna
    laptop.publish()
    key = make_key(tmp_path / "nora")
    added = rosters.add(laptop.directory, "nora", public(key))
    assert added.epoch == 2
    assert rosters.threshold(laptop.directory, 1, 2).epoch == 2
    assert laptop.git("log", "-2", "--format=%s") == "Roster: threshold 1, 2 for the roster\nRoster: add a key of nora"
    assert laptop.copy.changes == ()
    assert {d.fate for d in laptop.publish().deliveries} == {Fate.ACCEPTED}
    trust = world.boxes["kerminy-1"].trust
    assert (trust.roster.epoch, trust.roster.root_threshold) == (2, 2)
    assert trust.roster.admins["nora"] == {fingerprint(public(key))}
    assert rosters.remove(laptop.directory, "nora").epoch == 3
    done = laptop.publish()
    assert done.settled.missing == "signed by yuna: 1 of the 2 persons that a change of the roster needs"


def test_a_lost_laptop_is_replaced_by_another_admin(world: World, tmp_path: Path) -> None:
    """Two commands: `hentou roster rotate yuna new.pub`, `hentou publish`."""
    world.yuna.publish()
    malo = world.laptop("malo")
    origin = gather.meet(malo.copy, gather.fetch(malo.copy, malo.reach))
    assert origin
    malo.copy.keep(origin.trust, origin.tip)
    new = make_key(tmp_path / "new")
    rosters.rotate(malo.directory, "yuna", rosters.read_key(f"{new}.pub"))
    assert {d.fate for d in malo.publish().deliveries} == {Fate.ACCEPTED}
    stolen = world.yuna
    stolen.git("pull", "--quiet", str(malo.directory), "main")
    stolen.commit("content/evil", "x")
    with pytest.raises(HentouError, match="no key of the roster"):
        stolen.publish()
    assert stolen.publish(new).settled.missing == ""


def test_a_second_key_becomes_the_only_one(world: World, tmp_path: Path) -> None:
    directory, spare = world.yuna.directory, public(make_key(tmp_path / "spare"))
    rosters.add(directory, "yuna", spare)
    rosters.rotate(directory, "yuna", spare)
    assert rosters.written(directory).admins["yuna"] == (spare,)
    with pytest.raises(HentouError, match="this is yuna's only key already"):
        rosters.rotate(directory, "yuna", spare)
    with pytest.raises(HentouError, match="in the roster already: it is malo's"):
        rosters.rotate(directory, "yuna", public(world.key("malo")))


def test_a_change_that_cannot_work_changes_nothing(world: World) -> None:
    laptop = world.yuna
    head = laptop.copy.head
    with pytest.raises(HentouError, match="3 persons must sign"):
        rosters.threshold(laptop.directory, 3)
    with pytest.raises(HentouError, match="in the roster already: it is malo's"):
        rosters.add(laptop.directory, "nora", public(world.key("malo")))
    with pytest.raises(HentouError, match="nora is not in the roster"):
        rosters.remove(laptop.directory, "nora")
    with pytest.raises(HentouError, match="yuna has no key SHA256:x"):
        rosters.rotate(laptop.directory, "yuna", public(make_key(laptop.directory.parent / "k")), "SHA256:x")
    assert (laptop.copy.head, laptop.copy.changes) == (head, ())


def test_only_one_public_key_is_read(tmp_path: Path) -> None:
    key = make_key(tmp_path / "id")
    with pytest.raises(HentouError, match="is a private key"):
        rosters.read_key(str(key))
    with pytest.raises(HentouError, match="No such file"):
        rosters.read_key(str(tmp_path / "none"))
    (tmp_path / "two").write_text(f"{public(key)}\n{public(key)}\n")
    with pytest.raises(HentouError, match="2 lines"):
        rosters.read_key(str(tmp_path / "two"))
    (tmp_path / "odd").write_text(f"{public(key)} a: # b\n")
    assert rosters.read_key(str(tmp_path / "odd")) == public(key)


def divided(world: World) -> tuple[Laptop, Laptop]:
    """Two laptops of yuna's, each of which reaches one half of the collective."""
    world.yuna.publish()
    other = world.laptop("yuna")
    origin = gather.meet(other.copy, gather.fetch(other.copy, other.reach))
    assert origin
    other.copy.keep(origin.trust, origin.tip)
    world.yuna.reach.down, other.reach.down = {"konkarlab-1"}, {"kerminy-1"}
    return world.yuna, other


def test_rosters_that_changed_apart_are_joined(world: World, tmp_path: Path) -> None:
    one, other = divided(world)
    rosters.add(one.directory, "nora", public(make_key(tmp_path / "nora")))
    one.publish()
    new = public(make_key(tmp_path / "malo"))
    rosters.rotate(other.directory, "malo", new)
    other.publish()
    one.reach.down = set()
    with pytest.raises(HentouError, match="does not descend") as failed:
        one.publish()
    one.git(*failed.value.hint.split()[1:], "-m", "Both", "-X", "ours")
    told = r"refused by konkarlab-1 \(roster\): its roster\.yaml differs, but is still of epoch 2"
    with pytest.raises(HentouError, match=told):
        one.publish()
    assert rosters.rotate(one.directory, "malo", new).epoch == 3
    assert {d.fate for d in one.publish().deliveries} == {Fate.ACCEPTED}
    assert {box.trust.roster.epoch for box in world.boxes.values()} == {3}
    assert set(world.boxes["konkarlab-1"].trust.roster.admins) == {"yuna", "malo", "nora"}


def test_a_roster_takes_one_change_at_a_time(world: World, tmp_path: Path) -> None:
    one, other = divided(world)
    for name in ("nora", "paul"):
        rosters.add(one.directory, name, public(make_key(tmp_path / name)))
        one.publish()
    other.commit("content/x", "x")
    other.publish()
    one.reach.down = set()
    with pytest.raises(HentouError, match="does not descend") as failed:
        one.publish()
    one.git(*failed.value.hint.split()[1:], "-m", "Both")
    with pytest.raises(HentouError, match="epoch 3, where 1 is trusted: the roster changed more than once") as stuck:
        one.publish()
    assert stuck.value.hint == "pin them anew, as their people agree: `hentou pin --replace` on konkarlab-1"
