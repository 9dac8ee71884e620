"""A machine and the journals: what it notices of itself, when it may write, and what it takes from its peers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from journal_world import World, make_key

from hentou.agent import alarms, journals, outbox
from hentou.agent.journals import AGENT, KEY, exchange, log, notice, tidy
from hentou.agent.standing import standing
from hentou.agent.state import Failure, State
from hentou.agent.synced import Memory
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.ledger import entries as ledger
from hentou.ledger.journals import Journal
from hentou.trust.journal import Entry, Kind, key_id

pytestmark = pytest.mark.integration

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def hear(world: World, name: str, peer: str) -> object:
    return exchange(world.hosts[name], world.fetched(name, peer), peer)


def activate(world: World, name: str, commit: str, generation: str = "a" * 64) -> None:
    world.hosts[name].store.prepare()
    world.hosts[name].store.save(State(current=generation, since=world.hosts[name].moment(), commit=commit))


def kinds(world: World, at: str, of: str) -> list[str]:
    return [str(entry.kind) for entry in world.entries(at, of)]


def test_a_machine_tells_what_changed_and_nothing_twice(world: World) -> None:
    host = world.hosts["kerminy-1"]
    hear(world, "kerminy-1", "vps-1")
    assert notice(host) == 1
    assert notice(host) == 0
    activate(world, "kerminy-1", ONE)
    assert notice(host) == 1
    assert notice(host) == 0
    assert kinds(world, "kerminy-1", "kerminy-1") == ["enrolled", "activated"]
    last = world.entries("kerminy-1", "kerminy-1")[-1]
    assert (last.sequence, last.standing.active) == (2, ONE)
    assert last.text == "activated commit 111111111111"


def test_failures_refusals_and_detachment_are_told(world: World) -> None:
    host = world.hosts["kerminy-1"]
    hear(world, "kerminy-1", "vps-1")
    activate(world, "kerminy-1", ONE)
    notice(host)
    state = host.store.state()
    failure = Failure("b" * 64, host.moment(), ("page: no",), TWO)
    held = {"/etc/motd": ""}
    host.store.save(
        State(**{**state.__dict__, "last_failure": failure, "quarantined": {"b" * 64: "page"}, "held": held})
    )
    Memory(host.disk).refuse("unsigned", "nobody signed it", "peer vps-1", host.moment())
    host.disk.write("/var/lib/hentou/detached.json", json.dumps({"by": "yuna", "why": "works"}).encode())
    notice(host)
    found = world.entries("kerminy-1", "kerminy-1")[2:]
    assert [(str(entry.kind), entry.text) for entry in found] == [
        ("undone", "undone: 222222222222: page: no"),
        ("quarantined", "222222222222 is not tried again: page: no"),
        ("held", "held by hand edits of /etc/motd"),
        ("detached", "detached by yuna: works"),
        ("refused", "nobody signed it (from peer vps-1)"),
    ]
    host.disk.remove("/var/lib/hentou/detached.json")
    notice(host)
    last = world.entries("kerminy-1", "kerminy-1")[-1]
    assert (str(last.kind), last.standing.undone, dict(last.standing.failed)) == ("attached", TWO, {TWO: "page: no"})


def test_a_report_a_day_and_not_more(world: World) -> None:
    host = world.hosts["kerminy-1"]
    hear(world, "kerminy-1", "vps-1")
    notice(host)
    for hours in (1, 23, 24, 25, 47, 48):
        world.now = host_start(world) + timedelta(hours=hours)
        notice(host)
    assert kinds(world, "kerminy-1", "kerminy-1") == ["enrolled", "report", "report"]


def host_start(world: World) -> object:
    from agent_world import NOW

    return NOW


def test_refusals_without_end_are_told_only_so_often(world: World) -> None:
    host = world.hosts["kerminy-1"]
    hear(world, "kerminy-1", "vps-1")
    for number in range(40):
        Memory(host.disk).refuse(f"why-{number}", f"reason {number}", "peer vps-1", host.moment())
        world.now += timedelta(minutes=1)
        notice(host)
    told = [entry for entry in world.entries("kerminy-1", "kerminy-1") if entry.kind is Kind.REFUSED]
    assert len(told) == journals.MOST_A_DAY
    # Urgent things are told meanwhile, and what was held back stays to be told.
    activate(world, "kerminy-1", ONE)
    notice(host)
    assert kinds(world, "kerminy-1", "kerminy-1")[-1] == "activated"
    world.now += timedelta(days=1)
    notice(host)
    assert world.entries("kerminy-1", "kerminy-1")[-1].text == "reason 39 (from peer vps-1)"


def test_entries_wait_until_a_peer_was_heard_in_this_boot(world: World) -> None:
    host = world.hosts["kerminy-1"]
    assert notice(host) == 0
    assert not log(host, "kerminy-1", "yuna", "replaced the disk")
    activate(world, "kerminy-1", ONE)
    assert notice(host) == 0
    assert world.entries("kerminy-1", "kerminy-1") == []
    hear(world, "kerminy-1", "vps-1")
    assert notice(host) == 3
    assert kinds(world, "kerminy-1", "kerminy-1") == ["enrolled", "changelog", "activated"]
    world.boot("kerminy-1", "second")
    activate(world, "kerminy-1", TWO)
    assert notice(host) == 0
    hear(world, "kerminy-1", "vps-1")
    assert notice(host) == 1
    assert not list(outbox.waiting(host.disk))


def test_a_machine_alone_waits_for_nobody(tmp_path: Path) -> None:
    world = World(tmp_path, ["kerminy-1"])
    host = world.hosts["kerminy-1"]
    assert notice(host) == 1
    assert log(host, "kerminy-1", "yuna", "replaced the disk")
    entry = world.entries("kerminy-1", "kerminy-1")[-1]
    assert (entry.kind, entry.about, entry.person, entry.at) == (
        Kind.CHANGELOG, "kerminy-1", "yuna", host.moment(),
    )  # fmt: skip
    host.disk.remove(AGENT)
    assert log(host, "kerminy-1", "yuna", "before the first activation")


def test_a_restored_machine_continues_its_own_journal(world: World, tmp_path: Path) -> None:
    host, root = world.hosts["kerminy-1"], tmp_path / "kerminy-1"
    hear(world, "kerminy-1", "vps-1")
    log(host, "kerminy-1", "yuna", "one")
    shutil.copytree(root, tmp_path / "backup")
    # It goes on, and a peer hears of it.
    log(host, "kerminy-1", "yuna", "two")
    activate(world, "kerminy-1", ONE)
    notice(host)
    hear(world, "vps-1", "kerminy-1")
    # The backup comes back, and the machine boots.
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "backup", root)
    world.boot("kerminy-1", "second")
    assert not log(host, "kerminy-1", "yuna", "restored")
    hear(world, "kerminy-1", "vps-1")
    notice(host)
    entries = world.entries("kerminy-1", "kerminy-1")
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert [e.text for e in entries if e.kind is Kind.CHANGELOG] == ["one", "two", "restored"]
    hear(world, "vps-1", "kerminy-1")
    assert world.entries("vps-1", "kerminy-1") == entries
    assert not alarms.current(world.hosts["vps-1"])


def test_a_backup_that_holds_an_outbox_tells_nothing_twice(world: World, tmp_path: Path) -> None:
    host, root = world.hosts["kerminy-1"], tmp_path / "kerminy-1"
    log(host, "kerminy-1", "yuna", "one")
    shutil.copytree(root, tmp_path / "backup")
    hear(world, "kerminy-1", "vps-1")
    notice(host)
    hear(world, "vps-1", "kerminy-1")
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "backup", root)
    world.boot("kerminy-1", "second")
    hear(world, "kerminy-1", "vps-1")
    notice(host)
    assert kinds(world, "kerminy-1", "kerminy-1") == ["enrolled", "changelog"]


class PowerCut(BaseException):
    """The power went."""


@pytest.mark.parametrize("cut", range(1, 36))
def test_no_entry_is_lost_or_told_twice_by_a_power_cut(world: World, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    host = world.hosts["kerminy-1"]
    hear(world, "kerminy-1", "vps-1")
    notice(host)
    log(host, "kerminy-1", "yuna", "one")
    activate(world, "kerminy-1", ONE)
    state = host.store.state()
    failure = Failure("b" * 64, host.moment(), ("page: no",), TWO)
    host.store.save(State(**{**state.__dict__, "last_failure": failure, "quarantined": {"b" * 64: "page"}}))
    calls = [0]

    def cutting(real: Callable[..., object]) -> Callable[..., object]:
        def called(*words: object, **named: object) -> object:
            calls[0] += 1
            if calls[0] == cut:
                raise PowerCut
            return real(*words, **named)

        return called

    with monkeypatch.context() as patch:
        patch.setattr(GitStore, "git", cutting(GitStore.git))
        for name in ("replace", "write", "remove"):
            patch.setattr(type(host.disk), name, cutting(getattr(type(host.disk), name)))
        try:
            notice(host)
        except PowerCut:
            pass
        else:
            assert calls[0] < cut
    world.boot("kerminy-1", "second")
    hear(world, "kerminy-1", "vps-1")
    notice(host)
    entries = world.entries("kerminy-1", "kerminy-1")
    assert [str(e.kind) for e in entries] == ["enrolled", "changelog", "activated", "undone", "quarantined"]
    assert [e.sequence for e in entries] == [1, 2, 3, 4, 5]
    assert not world.store("kerminy-1").git("fsck", "--strict").stdout.replace("dangling", "").split("\n")[1:-1]


def test_all_journals_reach_all(world: World) -> None:
    for name in world.hosts:
        hear(world, name, next(other for other in world.hosts if other != name))
        notice(world.hosts[name])
    hear(world, "vps-1", "kerminy-1")
    hear(world, "bzh-1", "vps-1")
    assert kinds(world, "bzh-1", "kerminy-1") == ["enrolled"]


def test_a_compromised_site_cannot_write_in_anothers_journal_and_is_noticed(world: World, tmp_path: Path) -> None:
    for name in world.hosts:
        hear(world, name, "vps-1")
        notice(world.hosts[name])
    hear(world, "bzh-1", "kerminy-1")
    hear(world, "vps-1", "kerminy-1")
    # vps-1 continues kerminy-1's journal with its own key.
    store, ref = world.store("vps-1"), Journal("kerminy-1", key_id(world.keys["kerminy-1"])).ref
    entry = Entry("kerminy-1", 2, world.hosts["vps-1"].moment(), Kind.CHANGELOG, "I did it")
    forged = ledger.write(store, entry, tmp_path / "vps-1" / KEY.lstrip("/"), store.get(ref))
    store.update({ref: forged})
    for _ in range(3):
        hear(world, "bzh-1", "vps-1")
        notice(world.hosts["bzh-1"])
    assert kinds(world, "bzh-1", "kerminy-1") == ["enrolled"]
    told = [entry for entry in world.entries("bzh-1", "bzh-1") if entry.kind is Kind.ALARM]
    assert [entry.text for entry in told] == [
        "vps-1 serves entries in the journal of kerminy-1 that kerminy-1 did not sign"
    ]
    # An honest peer is not blamed for it, and still brings what is true.
    log(world.hosts["kerminy-1"], "kerminy-1", "yuna", "true")
    hear(world, "bzh-1", "kerminy-1")
    assert kinds(world, "bzh-1", "kerminy-1") == ["enrolled", "changelog"]
    assert len(alarms.current(world.hosts["bzh-1"])) == 1
    # A day later it is over, unless it goes on.
    world.now += timedelta(days=1, minutes=1)
    notice(world.hosts["bzh-1"])
    assert world.entries("bzh-1", "bzh-1")[-1].text == f"over: {told[0].text}"
    hear(world, "bzh-1", "vps-1")
    notice(world.hosts["bzh-1"])
    assert kinds(world, "bzh-1", "bzh-1")[-1] == "alarm"


def test_a_fork_freezes_and_every_machine_sees_the_alarm(world: World, tmp_path: Path) -> None:
    hear(world, "kerminy-1", "vps-1")
    notice(world.hosts["kerminy-1"])
    hear(world, "vps-1", "kerminy-1")
    hear(world, "bzh-1", "kerminy-1")
    # A copy of kerminy-1 writes without having heard of its journal.
    shutil.copytree(tmp_path / "kerminy-1", tmp_path / "copy")
    log(world.hosts["kerminy-1"], "kerminy-1", "yuna", "the machine")
    hear(world, "vps-1", "kerminy-1")
    shutil.rmtree(tmp_path / "kerminy-1")
    shutil.copytree(tmp_path / "copy", tmp_path / "kerminy-1")
    log(world.hosts["kerminy-1"], "kerminy-1", "yuna", "its copy")
    hear(world, "vps-1", "kerminy-1")
    vps = world.hosts["vps-1"]
    notice(vps)
    text = "the journal of kerminy-1 is frozen: it signed two entries of one number"
    assert [e.text for e in world.entries("vps-1", "vps-1") if e.kind is Kind.ALARM] == [text]
    assert standing(vps).alarms == (text,)
    # The machine itself hears of it, says so, and writes nothing more.
    hear(world, "kerminy-1", "vps-1")
    assert notice(world.hosts["kerminy-1"]) == 0
    assert standing(world.hosts["kerminy-1"]).alarms == (text,)
    with pytest.raises(HentouError, match="is frozen"):
        log(world.hosts["kerminy-1"], "kerminy-1", "yuna", "nobody would hear it")
    # Enrolled anew, with another key, it begins another journal, which tells what had waited.
    for old in (KEY, f"{KEY}.pub"):
        world.hosts["kerminy-1"].disk.remove(old)
    world.keys["kerminy-1"] = make_key(tmp_path / "kerminy-1" / KEY.lstrip("/"))
    for name in world.hosts:
        world.members(name, world.keys)
    assert notice(world.hosts["kerminy-1"])
    hear(world, "vps-1", "kerminy-1")
    assert "enrolled" in kinds(world, "vps-1", "kerminy-1")
    assert standing(vps).alarms == ()


def test_a_machine_that_is_struck_out_is_heard_no_more_but_stays_to_be_read(world: World) -> None:
    hear(world, "kerminy-1", "vps-1")
    notice(world.hosts["kerminy-1"])
    hear(world, "vps-1", "kerminy-1")
    world.members("vps-1", {name: key for name, key in world.keys.items() if name != "kerminy-1"})
    log(world.hosts["kerminy-1"], "kerminy-1", "thief", "mine now")
    hear(world, "vps-1", "kerminy-1")
    assert kinds(world, "vps-1", "kerminy-1") == ["enrolled"]
    assert not alarms.current(world.hosts["vps-1"])


def test_a_full_outbox_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST", 2)
    host = world.hosts["kerminy-1"]
    log(host, "kerminy-1", "yuna", "one")
    with pytest.raises(HentouError, match="2 entries wait") as raised:
        log(host, "kerminy-1", "yuna", "two")
    assert "bring this machine online" in raised.value.hint
    assert notice(host) == 0


def test_without_keys_there_is_no_journal(world: World) -> None:
    host = world.hosts["kerminy-1"]
    host.disk.remove(KEY)
    assert notice(host) == 0
    with pytest.raises(HentouError, match="this machine has no journal yet"):
        log(host, "kerminy-1", "yuna", "one")


def test_many_loose_objects_are_packed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "LOOSE", 5)
    host = world.hosts["kerminy-1"]
    hear(world, "kerminy-1", "vps-1")
    for number in range(6):
        log(host, "kerminy-1", "yuna", f"{number}")
    assert tidy(host)
    assert not tidy(host)
    assert "count: 0" in world.store("kerminy-1").git("count-objects", "-v").stdout
    assert len(world.entries("kerminy-1", "kerminy-1")) == 7
