"""Peers that lie, stall, cut off or drown a machine: it costs time within limits, and changes nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from sync_world import Author, Machine, cutting, daemon, dripping, public, server

from hentou.agent import incoming
from hentou.agent.members import members
from hentou.effects import gitstore
from hentou.effects.gitstore import GitStore
from hentou.ledger import statements
from hentou.trust.acceptance import Why

pytestmark = pytest.mark.integration


@pytest.fixture
def machine(stepped: Machine) -> Machine:
    return stepped


def offer(author: Author, commit: str = "") -> None:
    author.store.update({statements.REF: commit or author.chain[-1].commit})


def reason(machine: Machine) -> tuple[str, str]:
    refused = machine.remembered["refused"]
    assert isinstance(refused, dict)
    return refused.get("why", ""), refused.get("from", "")


UNFETCHED = (str(Why.UNFETCHED), "peer bad")


def test_a_truncated_pack(author: Author, machine: Machine, served: str) -> None:
    author.publish(files={"noise": os.urandom(300_000)})
    offer(author)
    before = machine.frozen()
    with server(cutting(served, 100_000)) as address:
        machine.peers(bad=address)
        assert machine.sync().accepted == 0
    assert reason(machine) == UNFETCHED
    assert machine.frozen() == before
    assert not list(machine.at("incoming.git").glob("objects/pack/tmp_*"))
    # Cut so early that not even the statements come.
    with server(cutting(served, 60)) as address:
        machine.peers(bad=address)
        machine.sync()
    assert machine.frozen() == before
    # The same peer, once nobody cuts it off, is no longer reproached with it.
    machine.peers(bad=served)
    assert machine.sync().accepted == 1
    assert reason(machine) == ("", "")


def test_what_came_before_the_cut_is_kept(author: Author, machine: Machine, served: str) -> None:
    """Eight steps of which the last is too much for the line: those before are accepted."""
    for _ in range(7):
        author.publish(files={"noise": os.urandom(10_000)})
    author.publish(files={"noise": os.urandom(300_000)})
    offer(author)
    with server(cutting(served, 100_000)) as address:
        machine.peers(bad=address)
        assert machine.sync().accepted == 7
    assert machine.trust.sequence == 8
    assert reason(machine) == UNFETCHED


def test_garbage_forever_keeps_nobody_else_out(
    author: Author, machine: Machine, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "STATEMENTS_SECONDS", 2.0)
    author.publish()
    offer(author)
    with server(dripping) as bad:
        machine.peers(bad=bad, good=served)
        start = time.monotonic()
        assert machine.sync().accepted == 1
        assert time.monotonic() - start < 10
        assert reason(machine) == UNFETCHED
        written = machine.at("sync.json").stat().st_ino
        assert machine.sync().accepted == 0
    assert machine.at("sync.json").stat().st_ino == written, "saying it again and again wears the disk out"


def test_a_peer_that_says_nothing(author: Author, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "STATEMENTS_SECONDS", 1.0)
    with server(lambda connection: time.sleep(30)) as bad:  # noqa: ARG005
        machine.peers(bad=bad)
        machine.sync()
    assert reason(machine) == UNFETCHED


def test_a_head_of_more_than_the_limit(
    author: Author, machine: Machine, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Incompressible: refused by its size on the wire, although it is signed; without it, the next is possible."""
    monkeypatch.setattr(incoming, "HEADS_SIZE", 2**20)
    heavy = author.publish(files={"blob": os.urandom(4 * 2**20)})
    offer(author)
    before = machine.frozen()
    machine.peers(bad=served)
    assert machine.sync().accepted == 0
    assert reason(machine) == UNFETCHED
    assert machine.frozen() == before
    assert sum(f.stat().st_size for f in machine.at("incoming.git").rglob("*") if f.is_file()) < 2**20
    author.chain.remove(heavy)
    author.publish()
    offer(author)
    assert machine.sync().accepted == 1


def test_a_head_that_swells(author: Author, machine: Machine, served: str) -> None:
    """Compressible: small on the wire and on the disk, where it stays small; it fails where it would be read."""
    big = author.publish(files={"blob": bytes(32 * 2**20)})
    offer(author)
    machine.failing[big.statement.head] = 6
    machine.peers(bad=served)
    assert machine.sync().accepted == 1
    assert sum(f.stat().st_size for f in machine.root.rglob("*") if f.is_file()) < 2**20
    assert machine.remembered["failed"] == {big.statement.head: "said no"}
    author.publish()
    offer(author)
    machine.sync()
    assert machine.activated[-1] == author.chain[-1].statement.head


def test_deltas_that_swell(author: Author, machine: Machine, served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delta of a few bytes on a blob larger than a fetch may hold in memory."""
    monkeypatch.setattr(gitstore, "_MEMORY", 2**26)
    size = 80 * 2**20
    head = author.chain[-1].statement.head
    author.store.git("config", "core.bigFileThreshold", "2g")
    git = ["git", "--git-dir", str(author.path)]
    from subprocess import run

    blobs = []
    for tail in (b"one", b"two"):
        data = bytes(size) + tail
        blobs.append(run([*git, "hash-object", "-w", "--stdin"], input=data, capture_output=True, check=True).stdout)
    del data
    lines = "".join(f"100644 blob {b.decode().strip()}\t{n}\n" for n, b in zip(("a", "b"), blobs, strict=True))
    roster = author.store.git("rev-parse", f"{head}:roster.yaml").stdout.strip()
    tree = author.store.git("mktree", stdin=f"{lines}100644 blob {roster}\troster.yaml\n").stdout.strip()
    new = author.store.git("commit-tree", tree, "-p", head, "-m", "swell", env=_SOMEBODY).stdout.strip()
    run([*git, "-c", "core.bigFileThreshold=2g", "repack", "-adfq", "--window=3"], check=True)
    author.chain.append(author.sign(author.statement(new), "ann"))
    offer(author)
    machine.peers(bad=served)
    before = machine.frozen()
    machine.sync()
    assert reason(machine) == UNFETCHED
    assert machine.frozen() == before


_SOMEBODY = {f"GIT_{who}_{what}": "x@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@pytest.mark.parametrize("name", [".git", "..", ".GIT"])
def test_names_that_lead_elsewhere(author: Author, machine: Machine, served: str, name: str) -> None:
    head = author.chain[-1].statement.head
    blob = author.store.git("rev-parse", f"{head}:roster.yaml").stdout.strip()
    raw = b"".join(f"100644 {n}\0".encode() + bytes.fromhex(blob) for n in sorted((name, "roster.yaml")))
    tree = author.store.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw).stdout.strip()
    new = author.store.git("commit-tree", tree, "-p", head, "-m", "names", env=_SOMEBODY).stdout.strip()
    kept = author.sign(author.statement(new), "ann")
    offer(author, kept.commit)
    before = machine.frozen()
    machine.peers(bad=served)
    assert machine.sync().accepted == 0
    assert reason(machine) == UNFETCHED
    assert machine.frozen() == before
    with pytest.raises(Exception, match=r"remote|fsck|unpack"):
        author.push(machine, kept)


def test_a_peer_that_stalls_in_the_middle_of_a_head(
    author: Author, machine: Machine, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "HEADS_SECONDS", 4.0)
    for _ in range(8):
        author.publish(files={"noise": os.urandom(100_000)})
    offer(author)
    with server(cutting(served, 50_000, stall=60)) as bad:
        machine.peers(bad=bad)
        start = time.monotonic()
        assert machine.sync().accepted == 0
        assert time.monotonic() - start < 20
        assert reason(machine) == UNFETCHED
        machine.peers(bad=bad, good=served)
        assert machine.sync().sequence == 9


def test_thousands_of_refs(author: Author, machine: Machine, served: str) -> None:
    """Only what is asked for comes: the newest statement, and journals of machines that are known."""
    spare = {
        "collective.yaml": b"name: a\ndomain: a.example\ncontact: a@a.example\n",
        "sites/s.yaml": b"machines: {m: {}}\n",
    }
    journal = f"wireguard: {'A' * 43}=\njournal: {public('m')}\n".encode()
    author.push(machine, author.publish(files={**spare, "keys/m.yaml": journal}))
    machine.sync()
    assert list(members(machine.host.disk).journals) == ["m"]
    head = author.chain[-1].statement.head
    prefixes = ("refs/heads/a", "refs/hentou/journals/m/", "refs/hentou/journals/n/", "refs/hentou/statements-")
    names = sorted(f"{prefix}{number}" for prefix in prefixes for number in range(3000))
    listing = "".join(f"{head} {name}\n" for name in names)
    (author.path / "packed-refs").write_text(f"# pack-refs with: peeled fully-peeled sorted \n{listing}")
    author.publish()
    offer(author)
    machine.peers(bad=served)
    start = time.monotonic()
    assert machine.sync().accepted == 1
    assert time.monotonic() - start < 30
    assert len(machine.trusted.repo.refs("refs")) < 10
    assert GitStore(machine.at("incoming.git")).refs("refs/incoming/journals") == {}


def test_a_peer_that_replays_is_only_behind(author: Author, machine: Machine, served: str) -> None:
    first = author.chain[-1]
    author.push(machine, author.publish())
    machine.sync()
    offer(author, first.commit)
    before = machine.frozen()
    machine.peers(bad=served)
    assert not machine.sync().refused
    assert machine.frozen() == before


def test_signatures_left_out_below_are_not_passed_on(
    tmp_path: Path, author: Author, machine: Machine, served: str
) -> None:
    """Of the past only digests are verified: a chain whose older statements lost their signatures must not spread."""
    first = author.chain[0]
    bare = statements.write(author.store, first.statement, [], [])
    author.publish()
    last = author.chain[-1]
    poisoned = statements.write(author.store, last.statement, last.signatures.values(), [bare.commit])
    offer(author, poisoned.commit)
    machine.peers(bad=served)
    assert machine.sync().accepted == 1
    fresh = Machine(tmp_path / "fresh", "fresh")
    fresh.pin(author.first)
    with daemon(machine.at("")) as address:
        fresh.peers(machine=address)
        assert fresh.sync().accepted == 2
    assert fresh.trust == machine.trust


def test_a_peer_with_another_past(author: Author, machine: Machine, served: str) -> None:
    author.push(machine, author.publish())
    machine.sync()
    author.chain.clear()
    author.publish(files={"another": b"first step"})
    offer(author)
    before = machine.frozen()
    machine.peers(bad=served)
    machine.sync()
    assert reason(machine) == (str(Why.REPLAYED), "peer bad")
    assert machine.frozen() == before
