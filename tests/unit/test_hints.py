"""What machines tell each other in 29 bytes, and where it comes from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from agent_world import NOW

from hentou.agent import hints
from hentou.agent.hints import Configuration, Stand, Word
from hentou.agent.host import Host
from hentou.effects.datagrams import Datagrams
from hentou.effects.disk import Disk
from hentou.effects.gitstore import GitStore
from hentou.errors import HentouError
from hentou.trust import journal

KEYS = {
    "anchor": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXYfyeBX1dGBB9ZFA1wGTmHVKhURTXqWL8pjXHb3jfQ",
    "heather": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvqDsHDqS6Vd0MBtuuiWXxwqkHhwa1fGkdhIkWLq2vS",
}


class Machine:
    """One machine's disk and repository."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.host = Host(Disk(root), now=lambda: NOW)
        self.host.disk.make_directory("/var/lib/hentou")
        self.host.disk.make_directory("/etc/hentou")
        self.store = GitStore.init(root / "var/lib/hentou/repo.git")
        self.members(KEYS)

    def trust(self, sequence: int, statement: str) -> None:
        record = {"sequence": sequence, "statement": statement}
        self.host.disk.write("/var/lib/hentou/trust.json", json.dumps(record).encode())

    def members(self, journals: dict[str, str]) -> None:
        record = {"head": "0" * 40, "journals": journals, "sites": {}}
        self.host.disk.write("/var/lib/hentou/members.json", json.dumps(record).encode())

    def entry(self, machine: str, text: str, *, key: str = "") -> None:
        ref = journal.ref(machine, key or KEYS[machine])
        self.store.update({ref: self.store.write_commit({"entry": text.encode()})})

    def refresh(self, again: float = 0) -> bool:
        return hints.refresh(self.host, self.store, again)

    @property
    def digest(self) -> bytes:
        return hints.digest(self.host.disk)


@pytest.fixture
def heather(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "heather")


@pytest.fixture
def anchor(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "anchor")


def test_what_is_packed_is_unpacked() -> None:
    stand = Stand(2**40, bytes(range(16)))
    for word in Word:
        assert len(hints.pack(word, stand)) == 29
        assert hints.unpack(hints.pack(word, stand)) == (word, stand)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HNT1",
        hints.pack(Word.ASK, Stand()) + b"x",
        hints.pack(Word.ASK, Stand())[:-1],
        b"HNT2" + hints.pack(Word.ASK, Stand())[4:],
        b"HNT1\x00" + hints.pack(Word.ASK, Stand())[5:],
        b"HNT1\x04" + hints.pack(Word.ASK, Stand())[5:],
        bytes(29),
    ],
)
def test_anything_else_says_nothing(data: bytes) -> None:
    assert hints.unpack(data) is None


def test_machine_that_never_synced_has_nothing(heather: Machine) -> None:
    assert hints.stand(heather.host.disk) == Stand()
    assert hints.stand(heather.host.disk).nothing


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"7", b'{"digest": "zz"}', b'{"sequence": -1, "digest": ""}', b'{"digest": "00"}', b"\xff"],
)
def test_damaged_digest_is_none(heather: Machine, damage: bytes) -> None:
    heather.host.disk.write(hints.DIGEST, damage)
    assert hints.stand(heather.host.disk) == Stand()


def test_same_things_make_the_same_digest(heather: Machine, anchor: Machine) -> None:
    for machine in (heather, anchor):
        machine.trust(3, "aa")
        machine.entry("anchor", "one")
        assert machine.refresh()
    assert heather.digest == anchor.digest
    assert hints.stand(heather.host.disk).sequence == 3


def test_another_statement_or_entry_makes_another(heather: Machine) -> None:
    seen = set()
    for sequence, statement, text in ((3, "aa", "one"), (4, "bb", "one"), (4, "cc", "one"), (4, "cc", "two")):
        heather.trust(sequence, statement)
        heather.entry("anchor", text)
        assert heather.refresh()
        assert not heather.refresh()
        seen.add(heather.digest)
    assert len(seen) == 4


def test_journals_of_others_than_members_do_not_count(heather: Machine, anchor: Machine) -> None:
    """Machines that came after somebody was struck out cannot get that journal, and need not."""
    for machine in (heather, anchor):
        machine.trust(3, "aa")
    heather.entry("thief", "mine", key=KEYS["heather"])
    heather.entry("anchor", "with an old key", key=KEYS["heather"])
    for machine in (heather, anchor):
        machine.refresh()
    assert heather.digest == anchor.digest


def test_frozen_journal_is_frozen_whichever_end_is_kept(heather: Machine, anchor: Machine) -> None:
    for machine, ours, theirs in ((heather, "one", "two"), (anchor, "two", "one")):
        machine.trust(3, "aa")
        machine.entry("anchor", ours)
        machine.refresh()
        fork = journal.ref("anchor", KEYS["anchor"]).replace("/journals/", "/forks/")
        machine.store.update({f"{fork}/theirs": machine.store.write_commit({"entry": theirs.encode()})})
    assert heather.digest != anchor.digest
    assert heather.refresh()
    assert anchor.refresh()
    assert heather.digest == anchor.digest


def test_time_to_come_back_is_kept_beside_and_not_told(heather: Machine) -> None:
    heather.trust(3, "aa")
    heather.refresh()
    told = heather.digest
    assert not heather.refresh(again=600)
    assert hints.stand(heather.host.disk).again == pytest.approx(NOW.timestamp() + 600)
    assert heather.digest == told
    heather.refresh()
    assert hints.stand(heather.host.disk).again == 0


def test_machine_that_is_not_pinned_has_nothing(heather: Machine) -> None:
    heather.refresh()
    assert hints.stand(heather.host.disk).nothing


def configure(machine: Machine, peers: dict[str, str], address: str = "127.0.0.1", port: int = 8422) -> None:
    record = {
        "machine": "heather", "site": "moor", "address": address, "port": port, "poll": 60,
        "peers": [{"name": name, "address": at} for name, at in peers.items()],
    }  # fmt: skip
    machine.host.disk.write(hints.CONFIGURATION, json.dumps(record).encode())


def test_configuration_is_what_the_feature_writes(heather: Machine) -> None:
    assert hints.configuration(heather.host.disk) is None
    configure(heather, {"anchor": "127.0.0.7"})
    found = hints.configuration(heather.host.disk)
    assert found == Configuration("heather", "127.0.0.1", 8422, 60, {"127.0.0.7": "anchor"})


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"peers": [7]}', b'{"peers": []}'])
def test_damaged_configuration_is_told(heather: Machine, damage: bytes) -> None:
    heather.host.disk.write(hints.CONFIGURATION, damage)
    with pytest.raises(HentouError) as told:
        hints.configuration(heather.host.disk)
    assert told.value.message.startswith("/etc/hentou/agent.json cannot be read: ")
    assert told.value.hint == "run `hentou converge` on it"


@pytest.mark.parametrize(("own", "peer"), [("127.0.0.1", "127.0.0.7"), ("::1", "::1")])
def test_send_tells_every_peer(heather: Machine, own: str, peer: str) -> None:
    heather.trust(3, "aa")
    heather.refresh()
    assert hints.send(heather.host) == 0
    ear = Datagrams(peer, 0)
    configure(heather, {"anchor": peer}, own, ear.port)
    assert hints.send(heather.host) == 1
    assert ear.receive(5, 10) == [(own, heather.digest)]
    ear.close()


def test_send_gives_up_quietly_where_there_is_no_way(heather: Machine) -> None:
    configure(heather, {"anchor": "192.0.2.7"})
    assert hints.send(heather.host) == 0


def test_resident_side_is_standard_library_only() -> None:
    code = (
        "import sys, hentou.agent.resident; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'hentou'}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    # What an editable install brings into every process is not ours.
    found = json.loads(done.stdout.replace("'", '"'))
    assert [name for name in found if not name.startswith(("_", "sitecustomize"))] == []
