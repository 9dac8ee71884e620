"""What machines show is believed as far as it verifies: on a new laptop, from liars, and in journals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from publish_world import Box, Laptop, World, make_key, public

from hentou.admin import gather, watch
from hentou.admin.chain import own_branch
from hentou.admin.watch import End, State
from hentou.errors import HentouError
from hentou.ledger import journals, statements
from hentou.trust.journal import Kind, Standing

pytestmark = pytest.mark.integration

AT = "2027-03-01T12:00:00+00:00"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def hear(laptop: Laptop) -> gather.Gathered:
    return gather.fetch(laptop.copy, laptop.reach)


def test_a_new_laptop_verifies_from_the_first_statement(world: World) -> None:
    for number in range(3):
        world.yuna.commit("content/page", f"{number}")
        world.yuna.publish()
    new = world.laptop("new")
    gathered = hear(new)
    assert new.copy.trust is None
    origin = gather.meet(new.copy, gathered)
    assert origin
    assert (origin.trust, origin.machines) == (world.yuna.copy.trust, ("kerminy-1", "konkarlab-1"))


def test_a_new_laptop_learns_what_machines_were_pinned_to(world: World) -> None:
    pinned = world.yuna.copy.trust
    origin = gather.meet(world.laptop("new").copy, hear(world.laptop("other")))
    assert origin
    assert (origin.trust, origin.tip) == (pinned, "")


def test_two_collectives_are_not_mixed_up(world: World, tmp_path: Path) -> None:
    world.yuna.publish()
    other = World(tmp_path / "other")
    (tmp_path / "other").mkdir()
    other.yuna.publish()
    world.boxes["konkarlab-1"] = other.boxes["konkarlab-1"]
    new = world.laptop("new")
    with pytest.raises(HentouError, match="the machines belong to different collectives"):
        gather.meet(new.copy, hear(new))
    gathered = hear(world.yuna)
    assert len(gathered.alarms) == 1
    assert gathered.alarms[0].startswith("konkarlab-1: statements that are refused (another-collective)")
    assert own_branch(world.yuna.copy).trust == world.boxes["kerminy-1"].trust


def test_a_machine_that_makes_statements_up_changes_nothing(world: World) -> None:
    world.yuna.publish()
    box, trust = world.boxes["kerminy-1"], world.yuna.copy.trust
    tip = statements.read(box.repo, box.repo.get(statements.REF))
    made_up = replace(tip.statement, sequence=2, previous=(tip.statement.digest,))
    forged = statements.write(box.repo, made_up, tip.signatures.values(), (tip.commit,))
    box.repo.update({statements.REF: forged.commit})
    gathered = hear(world.yuna)
    (alarm,) = gathered.alarms
    assert alarm.startswith("kerminy-1: statements that are refused (unsigned): nobody signed it")
    assert world.yuna.copy.trust == trust
    box.repo.update({statements.REF: box.repo.write_commit({"statement.json": b"{}"})})
    assert "(malformed)" in hear(world.yuna).alarms[0]


def journal(world: World, box: Box, standing: Standing, kind: Kind = Kind.ACTIVATED) -> None:
    key = world.place / f"journal-{box.name}"
    journals.append(box.repo, box.name, key, kind=kind, text="so it is", at=AT, standing=standing)


def enrol(world: World) -> None:
    for number, box in enumerate(world.boxes):
        key = make_key(world.place / f"journal-{box}")
        wireguard = ("xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=")
        world.yuna.write(f"keys/{box}.yaml", f"wireguard: {wireguard[number]}\njournal: {public(key)}\n")
    world.yuna.commit("content/x", "x")


def test_journals_tell_how_a_change_ended(world: World) -> None:
    enrol(world)
    yuna = world.yuna
    done = yuna.publish().settled.kept.statement
    kerminy, konkarlab = world.boxes.values()
    accepted = Standing(sequence=1, head=done.head)
    journal(world, kerminy, replace(accepted, active=done.head, active_sequence=1))
    told: list[str] = []
    collective = yuna.copy.collective()
    ends = watch.watch(
        yuna.copy, yuna.reach, collective, done, machines=["kerminy-1", "konkarlab-1"], tell=told.append, patience=0
    )
    assert ends == {"kerminy-1": State(End.ACTIVE), "konkarlab-1": State(End.UNHEARD)}
    assert told == ["kerminy-1: active"]
    journal(world, konkarlab, replace(accepted, failed={done.head: "the site does not answer"}), Kind.UNDONE)
    hear(yuna)
    assert watch.states(yuna.copy, collective, done)["konkarlab-1"] == State(End.UNDONE, "the site does not answer")


def test_every_end_has_its_name(world: World) -> None:
    world.yuna.publish()
    kept = statements.read(world.yuna.copy.store, own_branch(world.yuna.copy).tip)
    wanted = kept.statement
    accepted = Standing(sequence=1, head=wanted.head)
    ends = {
        End.UNHEARD: None,
        End.BEHIND: Standing(),
        End.ACCEPTED: accepted,
        End.ACTIVE: replace(accepted, active=wanted.head),
        End.HELD: replace(accepted, held=("/etc/motd",)),
        End.DETACHED: replace(accepted, detached={"why": "festival"}),
    }
    for end, standing in ends.items():
        assert watch.state(standing, wanted, waits=False).end is end
    assert watch.state(accepted, wanted, waits=True).end is End.CANARY
    # A later step that is active has the change in it.
    assert watch.state(replace(accepted, active="f" * 40, active_sequence=2), wanted, waits=True).end is End.ACTIVE
