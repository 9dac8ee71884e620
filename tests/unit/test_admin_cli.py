"""The verbs of an admin's laptop, as they speak: publish, cosign, verify, roster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from publish_world import Laptop, World, make_key, public
from typer.testing import CliRunner, Result

from hentou.admin import rosters, secrets
from hentou.admin.reach import Reach, Way
from hentou.admin.workcopy import found
from hentou.cli.ask import agree
from hentou.cli.cosign import cosign, sign
from hentou.cli.publish import Run, begin, publish
from hentou.cli.roster import app as roster
from hentou.cli.verify import verify
from hentou.errors import HentouError
from hentou.trust.roster import fingerprint

pytestmark = pytest.mark.integration


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def invoke(function: Callable[..., Any], *words: str | Path) -> Result:
    app = typer.Typer()
    app.command()(function)
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def run(laptop: Laptop, *, yes: bool = True, json: bool = False, verbose: bool = False) -> Run:
    copy = laptop.copy
    return Run(copy, laptop.reach, copy.collective(), None, yes=yes, json=json, verbose=verbose)


def test_publish_founds_a_collective_without_machines(world: World, tmp_path: Path) -> None:
    laptop = world.laptop("yuna")
    done = invoke(publish, "-C", laptop.directory, "--yes")
    assert done.exit_code == 0
    assert "step 1: " in done.stdout
    assert "no machine is enrolled: it is kept in this working copy" in done.stdout
    laptop.write("content/page", "new\n")
    with pytest.raises(HentouError, match="not committed: content/page"):
        invoke(publish, "-C", laptop.directory, "--yes")
    again = invoke(publish, "-C", laptop.directory, "--yes", "--json", "-m", "A page")
    record = json.loads(again.stdout)
    assert (record["sequence"], record["head"], record["missing"]) == (2, laptop.copy.head, "")
    assert laptop.git("log", "-1", "--format=%s") == "A page"
    same = invoke(publish, "-C", laptop.directory)
    assert "is published already, as step 2: nothing to sign" in same.stdout


def test_publish_shows_what_it_would_do_and_asks(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    laptop = world.yuna
    with pytest.raises(HentouError, match="nobody is here to be asked: Sign and publish this as yuna") as asked:
        run(laptop, yes=False, verbose=True).publish()
    assert asked.value.hint == "agree beforehand with --yes"
    said = capsys.readouterr().out
    assert "yuna: The pilot" in said
    assert "kerminy-1: " in said
    assert "  write /etc/" in said
    assert laptop.copy.trust
    assert laptop.copy.trust.sequence == 0
    laptop.reach.down = {"konkarlab-1"}
    run(laptop).publish(wait=False)
    said = capsys.readouterr().out
    assert "accepted" in said
    assert "unreachable: follows by its peers" in said


def test_a_refusal_is_told_and_ends_with_its_status(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    laptop = world.yuna
    other = World(world.place / "other")
    (world.place / "other").mkdir()
    other.yuna.publish()
    world.boxes["konkarlab-1"] = other.boxes["konkarlab-1"]
    with pytest.raises(typer.Exit) as ended:
        run(laptop).publish(wait=False)
    assert ended.value.exit_code == 3
    said = capsys.readouterr()
    assert "look at this: konkarlab-1: statements that are refused" in said.err
    assert "refused: " in said.out


def test_first_contact_asks_whom_to_trust(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.yuna.publish()
    new = world.laptop("yuna")
    trust = world.yuna.copy.trust
    assert trust
    with pytest.raises(HentouError, match="not the collective 00000000"):
        run(new).publish("00000000")
    run(new).publish(trust.repository[:8], wait=False)
    said = capsys.readouterr().err
    assert f"kerminy-1, konkarlab-1 follow repository {trust.repository}, at step 1. Its admins:" in said
    assert "yuna: SHA256:" in said
    assert new.copy.trust == trust


def test_a_new_laptop_that_hears_nobody_founds_nothing(world: World) -> None:
    from hentou.admin import gather

    for name in world.boxes:
        key = make_key(world.place / f"journal-{name}")
        wireguard = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
        world.yuna.write(f"keys/{name}.yaml", f"wireguard: {wireguard}\njournal: {public(key)}\n")
        break
    world.yuna.commit("content/x", "x")
    new = world.laptop("new")
    new.reach.down = set(world.boxes)
    with pytest.raises(HentouError, match="does not know the collective yet, and no machine tells it"):
        begin(new.copy, gather.fetch(new.copy, new.reach), "", yes=True)
    assert new.copy.trust is None


def test_a_wrong_first_roster_is_corrected(world: World, tmp_path: Path) -> None:
    laptop, right = world.laptop("yuna"), world.roster(["yuna"])
    stranger = public(make_key(tmp_path / "stranger"))
    laptop.commit("roster.yaml", f"threshold: 1\nadmins:\n  yuna:\n    - {stranger}\n")
    with pytest.raises(HentouError, match="no key of the roster to sign with"):
        invoke(publish, "-C", laptop.directory, "--yes")
    assert laptop.copy.trust is None
    # As it was left by an adoption that ended early: the repository id stays, the roster follows.
    before = found(laptop.copy)
    laptop.commit("roster.yaml", right)
    assert invoke(publish, "-C", laptop.directory, "--yes").exit_code == 0
    after = laptop.copy.trust
    assert after
    assert (after.repository, after.sequence) == (before.repository, 1)
    assert after.roster != before.roster


def test_publish_outside_a_repository_says_so(tmp_path: Path) -> None:
    for verb in (publish, verify, cosign):
        with pytest.raises(HentouError, match=r"is not (in )?a Git repository"):
            invoke(verb, "-C", tmp_path)


def test_what_no_machine_has_is_no_success(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    laptop = world.yuna
    laptop.reach.down = set(world.boxes)
    with pytest.raises(typer.Exit) as ended:
        run(laptop).publish()
    assert ended.value.exit_code == 3
    said = capsys.readouterr()
    assert "no machine has it yet; try again when one answers: `hentou publish`" in said.err
    assert "follows by its peers" not in said.out
    laptop.reach.down = set()
    run(laptop).publish(wait=False)
    assert capsys.readouterr().out.count("accepted") == 2


def test_a_higher_threshold_is_cosigned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path, ("yuna", "malo"))
    run(world.yuna).publish(wait=False)
    rosters.threshold(world.yuna.directory, 2)
    run(world.yuna).publish()
    said = capsys.readouterr().out
    assert "signed by 1 of the 2 persons that the new roster needs" in said
    assert "a person of the new roster signs with `hentou cosign`: ask malo\n" in said
    malo = world.laptop("malo")
    sign(run(malo), wait=False)
    assert {box.trust.roster.threshold for box in world.boxes.values()} == {2}
    assert malo.copy.trust == world.boxes["kerminy-1"].trust


@pytest.mark.parametrize("first", ["old", "new"])
def test_an_only_key_is_rotated_with_both(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], first: str
) -> None:
    laptop, new = world.yuna, make_key(tmp_path / "new")
    run(laptop).publish(wait=False)
    rosters.rotate(laptop.directory, "yuna", public(new))
    keys = {"old": world.key("yuna"), "new": new}

    def with_key(name: str) -> Run:
        return Run(laptop.copy, laptop.reach, laptop.copy.collective(), keys[name], yes=True)

    with_key(first).publish()
    other = "present" if first == "new" else "new"
    assert f"ask yuna, with the {other} key (`hentou cosign --key FILE`)" in " ".join(capsys.readouterr().out.split())
    assert {box.trust.roster.epoch for box in world.boxes.values()} == {1}
    sign(with_key("new" if first == "old" else "old"), wait=False)
    for box in world.boxes.values():
        assert box.trust.roster.admins == {"yuna": {fingerprint(public(new))}}


def test_cosign_shows_who_signed_and_adds_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path, ("yuna", "malo"), threshold=2)
    run(world.yuna).publish()
    said = capsys.readouterr().out
    assert "not enough signatures yet: signed by yuna: 1 of the 2 persons that a change needs" in said
    assert "another person of the roster signs with `hentou cosign`: ask malo" in said
    malo = world.laptop("malo")
    with pytest.raises(HentouError, match=r"no proposal for ffff: [0-9a-f]{12} by yuna"):
        sign(run(malo), "ffff", wait=False)
    sign(run(malo), wait=False)
    said = capsys.readouterr().out
    assert f"step 1: {world.yuna.copy.head[:12]}, signed by yuna" in said
    assert said.count("accepted") == 2
    with pytest.raises(HentouError, match="nothing is proposed"):
        sign(run(malo), wait=False)


def test_cosign_finds_what_the_working_copy_keeps(tmp_path: Path) -> None:
    world = World(tmp_path, ("yuna", "malo"), threshold=2)
    laptop = world.laptop("yuna")
    invoke(publish, "-C", laptop.directory, "--yes")
    done = invoke(cosign, "-C", laptop.directory, "--yes", "--key", world.key("malo"), "--json")
    assert json.loads(done.stdout)["missing"] == ""
    told = invoke(verify, "HEAD", "-C", laptop.directory)
    assert "malo, yuna" in told.stdout
    assert "is published, since step 1" in told.stdout


def test_verify_tells_what_is_not_published(world: World) -> None:
    world.yuna.publish()
    world.yuna.commit("content/x", "x")
    done = invoke(verify, "HEAD", "-C", world.yuna.directory)
    assert done.exit_code == 3
    assert "is not published" in done.stdout
    record = json.loads(invoke(verify, "HEAD~1", "-C", world.yuna.directory, "--json").stdout)
    assert (record["well"], record["published"]) == (True, 1)
    assert [one["signed_by"] for one in record["statements"]] == [["yuna"]]


def test_roster_verbs(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world.yuna.publish()
    key = make_key(tmp_path / "malo")
    there = ["-C", str(world.yuna.directory)]

    def call(*words: str, stdin: str = "") -> str:
        return CliRunner().invoke(roster, [*words, *there], input=stdin, catch_exceptions=False).stdout

    assert "epoch 2" in call("add", "malo", "-", stdin=f"{public(key)} malo@laptop\n")
    said = call("show")
    assert "1 of 2 must sign a change; epoch 2" in said
    assert "not accepted yet (epoch 1 is)" in said
    assert json.loads(call("threshold", "1", "--root", "2", "--json"))["epoch"] == 2
    assert json.loads(call("show", "--json"))["root_threshold"] == 2
    with pytest.raises(HentouError, match="nobody is here"):
        run(world.yuna, yes=False).publish()
    told = capsys.readouterr().out
    assert "roster: who must sign: 1 for a change, 2 for the roster; it was 1 for a change, 1 for the roster" in told
    assert "roster: malo may sign with SHA256:" in told
    call("threshold", "1", "--root", "1")
    call("remove", "malo")
    # The roster is as it was: nothing is to be counted.
    assert json.loads(call("show", "--json"))["epoch"] == 1


def test_a_change_tells_only_of_secrets_that_it_made_known(world: World, tmp_path: Path) -> None:
    there = ["-C", str(world.yuna.directory)]

    def call(*words: str) -> str:
        return CliRunner().invoke(roster, [*words, *there], catch_exceptions=False).stdout

    call("add", "malo", str(make_key(tmp_path / "malo").with_suffix(".pub")))
    world.yuna.commit("x", "x")
    secrets.put(world.yuna.directory, "wifi", b"v")
    world.yuna.git("add", "--all")
    world.yuna.git("commit", "-qm", "wifi")
    assert "could read the secret wifi" in call("remove", "malo")
    said = call("add", "yuna", str(make_key(tmp_path / "second").with_suffix(".pub")))
    assert "committed as" in said
    assert "wifi" not in said.replace("wifi is not encrypted again", "")


def test_agreeing_beforehand_asks_nothing() -> None:
    agree("Really?", yes=True)
    with pytest.raises(HentouError, match="nobody is here to be asked: Really"):
        agree("Really?", yes=False)


def test_ways_come_in_their_order(world: World) -> None:
    site = "machines:\n  vps-1:\n    gateway: true\n    public:\n      ipv4: 203.0.113.7\n      ipv6: 2001:db8::7\n"
    laptop = world.yuna
    laptop.write("sites/vps.yaml", f"{site}uplinks:\n  net:\n    kind: datacentre\n    down: 1G\n    up: 1G\n")
    laptop.commit("content/x", "x")
    key = public(make_key(world.place / "host"))
    laptop.git("config", "hentou.vps-1.hostkey", key)
    laptop.git("config", "hentou.kerminy-1.ssh", "ssh://root@example.org:2222")
    with Reach(laptop.directory) as reach:
        mesh = str(reach.collective.mesh_address(reach.collective.machines["kerminy-1"]))
        assert list(reach.ways("kerminy-1")) == [
            Way("example.org (noted)", "example.org", 2222, "root"),
            Way("example.org (noted, own account)", "example.org", 2222),
            Way("192.168.1.9 (LAN)", "192.168.1.9"),
            Way("through vps-1", mesh, gateway="vps-1"),
        ]
        assert [way.host for way in reach.ways("vps-1")] == ["203.0.113.7", "2001:db8::7"]
        assert reach.enrolled() == ("vps-1",)
        with pytest.raises(HentouError, match="konkarlab-1 is not enrolled: its SSH key is unknown"):
            reach.connect("konkarlab-1")


def test_a_machine_that_does_not_answer_is_told_with_every_reason(world: World) -> None:
    laptop = world.yuna
    laptop.git("config", "hentou.kerminy-1.hostkey", public(make_key(world.place / "host")))
    # Nothing listens on port 1 of this host; the LAN address is nobody's here.
    laptop.git("config", "hentou.kerminy-1.ssh", "ssh://127.0.0.1:1")
    laptop.write("sites/kerminy.yaml", (laptop.directory / "sites/kerminy.yaml").read_text().replace(
        "  kerminy-1:\n    address: 192.168.1.9\n", "  kerminy-1: {}\n"))  # fmt: skip
    laptop.commit("content/x", "x")
    with Reach(laptop.directory) as reach:
        found = reach.all()
        assert "127.0.0.1 (noted): ssh: connect to host 127.0.0.1 port 1: Connection refused" in str(found["kerminy-1"])
        with pytest.raises(HentouError, match="no machine answers") as nobody:
            reach.any()
        assert nobody.value.hint == "see which ways were tried: `hentou status`"
