"""What a member that was broken into could do to the others by the shape of what it serves, and cannot."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journal_world import Pen, moment
from journal_world import World as Journals
from sync_world import Author, Machine, daemon, server

from hentou.agent import growth, incoming
from hentou.agent import journals as agent_journals
from hentou.agent.hints import Stand, Word
from hentou.agent.journals import exchange, log, may_write
from hentou.agent.neighbours import LONGEST_PENALTY, Neighbours
from hentou.effects.gitstore import GitStore
from hentou.effects.process import harmless
from hentou.errors import HentouError
from hentou.ledger import ingest as ingest_module
from hentou.ledger import journals, statements
from hentou.ledger.entries import write
from hentou.ledger.journals import Fault
from hentou.ledger.statements import Kept
from hentou.trust.acceptance import Why
from hentou.trust.journal import Entry, Kind

pytestmark = pytest.mark.integration


@pytest.fixture
def machine(stepped: Machine) -> Machine:
    return stepped


def commit(store: GitStore, raw: bytes) -> str:
    return store.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw).stdout.strip()


def long_message(author: Author, kept: Kept) -> str:
    return commit(author.store, author.store.raw("commit", kept.commit) + b"a" * 2**21)


def another_date(author: Author, kept: Kept) -> str:
    return commit(author.store, author.store.raw("commit", kept.commit).replace(b"> 0 +0000", b"> 1 +0000", 1))


def another_header(author: Author, kept: Kept) -> str:
    return commit(author.store, author.store.raw("commit", kept.commit).replace(b"\n\n", b"\nencoding x\n\n", 1))


def under_a_tag(author: Author, kept: Kept) -> str:
    text = f"object {kept.commit}\ntype commit\ntag t\ntagger x <x@x> 0 +0000\n\nx\n"
    return author.store.git("mktag", stdin=text).stdout.strip()


def junk_before(author: Author, kept: Kept) -> str:
    """Only the last of the past is looked at where it should be the accepted statement."""
    junk = author.store.write_commit({"junk": b"x" * 1000})
    return statements.write(author.store, kept.statement, kept.signatures.values(), [junk]).commit


def junk_among_signatures(author: Author, kept: Kept) -> str:
    files = {f"signatures/{name}": text.encode() for name, text in kept.signatures.items()}
    files |= {"statement.json": kept.statement.data, "signatures/0123456789abcdef.sig": bytes(2**20)}
    return author.store.write_commit(files, author.store.parents(kept.commit))


SHAPES = [long_message, another_date, another_header, under_a_tag, junk_before, junk_among_signatures]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_signed_statement_in_another_shape_is_not_passed_on(
    author: Author, machine: Machine, served: str, shape: Callable[[Author, Kept], str]
) -> None:
    """Whoever hears of a step first could else hang on it what every machine would keep, or choke on, for ever."""
    kept = author.publish()
    author.store.update({statements.REF: shape(author, kept)})
    before = machine.frozen()
    machine.peers(bad=served)
    report = machine.sync()
    assert report.accepted == 0
    assert machine.frozen() == before
    assert str(Why.MALFORMED) in report.refused["peer bad"]
    author.store.update({statements.REF: kept.commit})
    assert machine.sync().accepted == 1


@pytest.mark.parametrize("shape", [long_message, under_a_tag, junk_before])
def test_the_past_of_a_pinned_machine_is_looked_at(
    tmp_path: Path, author: Author, served: str, shape: Callable[[Author, Kept], str]
) -> None:
    author.publish()
    kept = author.publish()
    pinned = Machine(tmp_path / "source")
    pinned.pin(author.first)
    author.push(pinned, kept)
    pinned.sync()
    fresh = Machine(tmp_path / "fresh")
    fresh.pin(pinned.trust)
    author.store.update({statements.REF: shape(author, kept)})
    fresh.peers(bad=served)
    fresh.sync()
    assert not fresh.trusted.complete()
    assert not (fresh.at("repo.git") / "refs/hentou/statements").exists()
    author.store.update({statements.REF: kept.commit})
    fresh.sync()
    assert fresh.trusted.complete()


def test_what_was_signed_apart_is_looked_at_where_it_is_joined(
    tmp_path: Path, author: Author, machine: Machine, served: str
) -> None:
    """The other side of a join is new here, and its signatures were somebody else's to check."""
    before = author.chain[-1]
    ours = author.publish()
    author.push(machine, ours)
    machine.sync()
    author.chain.pop()
    theirs = author.publish(files={"other": b"side"})
    merged = author.store.write_commit({"roster.yaml": author.roster}, [ours.statement.head, theirs.statement.head])
    digests = tuple(sorted((ours.statement.digest, theirs.statement.digest)))
    joined = author.statement(merged, previous=digests)
    junk = author.store.write_commit({"junk": b"x"})
    bad = statements.write(author.store, theirs.statement, theirs.signatures.values(), [junk])
    signed = author.sign(joined, "ann", parents=[ours.commit, bad.commit])
    author.store.update({statements.REF: signed.commit})
    machine.peers(bad=served)
    assert str(Why.MALFORMED) in machine.sync().refused["peer bad"]
    good = author.sign(joined, "ann", parents=[ours.commit, theirs.commit])
    author.store.update({statements.REF: good.commit})
    assert machine.sync().accepted == 1
    assert before.statement.sequence == 1
    fresh = Machine(tmp_path / "fresh", "fresh")
    fresh.pin(author.first)
    with daemon(machine.at("")) as address:
        fresh.peers(machine=address)
        assert fresh.sync().accepted == 3


def test_a_journal_of_zeros_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pen, target = Pen.at(tmp_path, "kerminy-1"), GitStore.init(tmp_path / "target.git")
    pen.write(1)
    other = Pen.at(tmp_path, "vps-1")
    other.write(2)
    assert not pen.store.fetch(other.store.path, [f"{other.tip}:{other.journal.ref}"], seconds=60, size=2**28)
    blob = pen.store.git("hash-object", "-w", "--stdin", stdin=bytes(2**24)).stdout.strip()
    asked: list[str] = []
    real = ingest_module.read_many

    def noting(store: GitStore, specs: list[str]) -> Iterator[bytes | None]:
        asked.extend(specs)
        return real(store, specs)

    monkeypatch.setattr(ingest_module, "read_many", noting)
    offers = {pen.journal: blob, other.journal: other.tip}
    found = journals.ingest_all(target, pen.store, offers, {"kerminy-1": pen.public, "vps-1": other.public})
    assert [(alarm.machine, alarm.fault) for alarm in found.alarms] == [("kerminy-1", Fault.FORGED)]
    assert found.new == {"vps-1": 2}
    assert blob not in asked


def test_what_hangs_on_a_fork_is_looked_at(tmp_path: Path) -> None:
    """Both ends of a fork are kept for ever: a machine may sign an end that drags anything behind it."""
    pen, target = Pen.at(tmp_path, "kerminy-1"), GitStore.init(tmp_path / "target.git")
    pen.write(2)
    assert journals.ingest(target, pen.store, pen.journal.ref, pen.public).new
    junk = pen.store.write_commit({"junk": bytes(10_000)})
    tip = write(pen.store, Entry("kerminy-1", 2, moment(9), Kind.REPORT, "x"), pen.key, junk)
    pen.store.update({pen.journal.ref: tip})
    found = journals.ingest(target, pen.store, pen.journal.ref, pen.public)
    assert [alarm.fault for alarm in found.alarms] == [Fault.BROKEN]
    assert not target.refs("refs/hentou/forks")
    assert target.git("cat-file", "-e", junk, check=False).status


def test_a_commit_of_zeros_is_not_read_for_its_parents(author: Author) -> None:
    from hentou.effects.gitbatch import Batch

    big = author.store.write_commit({}, message="a" * 2**21)
    with Batch(author.path) as store, pytest.raises(HentouError, match="Git has no commit"):
        store.parents(big)
    with pytest.raises(HentouError, match="of at most 100 bytes"):
        author.store.raw("commit", big, 100)


@pytest.fixture
def world(tmp_path: Path) -> Journals:
    return Journals(tmp_path)


def noise(world: Journals, name: str, count: int) -> str:
    """Entries of a machine that writes without end."""
    pen = Pen(name, world.folder / name / "var/lib/hentou/keys/journal", world.keys[name], world.store(name))
    return pen.write(count, "x" * 1000)


def test_a_journal_grows_by_so_much_a_day(world: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "A_DAY", 20_000)
    noise(world, "vps-1", 40)
    host = world.hosts["kerminy-1"]
    first = exchange(host, world.fetched("kerminy-1", "vps-1"), "vps-1").new["vps-1"]
    assert 5 < first < 20
    assert exchange(host, world.fetched("kerminy-1", "vps-1"), "vps-1").new == {}
    from datetime import timedelta

    from hentou.agent import alarms

    assert alarms.current(host) == (growth.text("vps-1"),)
    world.now += timedelta(days=1)
    assert exchange(host, world.fetched("kerminy-1", "vps-1"), "vps-1").new["vps-1"] == first
    # A damaged record lets one day begin anew, and nothing else.
    host.disk.write(growth.FILE, b"[]")
    assert exchange(host, world.fetched("kerminy-1", "vps-1"), "vps-1").new["vps-1"] == first


def test_the_own_journal_is_heard_of_only_when_it_came_whole(world: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine restored from a backup that writes on what came in part would fork itself."""
    noise(world, "kerminy-1", 9)
    ref = next(iter(world.store("kerminy-1").refs("refs/hentou/journals")))
    assert not world.store("vps-1").fetch(world.store("kerminy-1").path, [f"{ref}:{ref}"], seconds=60, size=2**28)
    world.store("kerminy-1").update({ref: ""})
    monkeypatch.setattr(ingest_module, "MOST_ENTRIES", 5)
    host = world.hosts["kerminy-1"]
    exchange(host, world.fetched("kerminy-1", "vps-1"), "vps-1")
    assert not may_write(host)
    exchange(host, world.fetched("kerminy-1", "vps-1"), "vps-1")
    assert may_write(host)


def test_so_many_notes_a_day(world: Journals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every machine keeps each of them for ever, whether they are written at once or wait."""
    monkeypatch.setattr(agent_journals, "MOST_NOTES", 3)
    host = world.hosts["kerminy-1"]
    for number in range(3):
        log(host, "kerminy-1", "erwan", f"note {number}")
    with pytest.raises(HentouError, match="3 notes were written here today"):
        log(host, "kerminy-1", "erwan", "one more")


def test_a_peer_that_promises_for_years_is_still_only_asked_rarely() -> None:
    """The wait doubles up to five minutes; the number behind it must not grow out of all bounds."""
    known, now = Neighbours(60), 0.0
    known.meet({"::1": "vps-1"}, now)
    for step in range(2000):
        now += LONGEST_PENALTY
        known.hear("::1", Word.TELL, Stand(step + 1, bytes(16)), now)
        known.synced(known.all["::1"], now, gained=False)
        assert known.all["::1"].penalty <= now + LONGEST_PENALTY


def test_what_another_machine_says_steers_no_terminal() -> None:
    assert harmless("a\x1b[2Jb\r\x9b1m\tc\nd\u202ee") == "a\ufffd[2Jb\ufffd\ufffd1m\tc\nd\ufffde"


def talking(connection: socket.socket) -> None:
    """A server that has the newest statement, and then much to tell."""
    connection.recv(4096)
    first = f"{'1' * 40} {statements.REF}\0side-band-64k ofs-delta\n".encode()
    connection.sendall(b"%04x%s0000" % (len(first) + 4, first))
    asked = b""
    while b"0009done" not in asked:
        asked += connection.recv(4096)
    connection.sendall(b"0008NAK\n")
    words = b"\x02" + b"x" * 998 + b"\n"
    for _ in range(1000):
        connection.sendall((b"%04x%s" % (len(words) + 4, words)) * 100)


def test_a_peer_that_talks_without_end_fills_no_memory(machine: Machine) -> None:
    with server(talking) as bad:
        machine.peers(bad=bad)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        report = machine.sync()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert "could not be fetched" in report.refused["peer bad"]
    assert grown < 40_000, "kibibytes of the hundred thousand that it said"


def test_a_peer_without_its_past_leaves_nothing_behind(tmp_path: Path, author: Author, machine: Machine) -> None:
    """Whoever serves a shallow repository could else have everything look as if it began there."""
    author.publish()
    author.publish()
    author.store.update({statements.REF: author.chain[-1].commit, "refs/heads/main": author.chain[-1].statement.head})
    (tmp_path / "shallow").mkdir()
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/repo.git").symlink_to(author.path)
    bad = GitStore.init(tmp_path / "shallow/repo.git", {"uploadpack.allowAnySHA1InWant": "true"})
    for ref in (statements.REF, "refs/heads/main"):
        bad.git("fetch", "--quiet", "--depth=1", f"file://{author.path}", f"+{ref}:{ref}")
    with daemon(tmp_path / "shallow") as one, daemon(tmp_path / "whole") as other:
        machine.peers(bad=one)
        assert machine.sync().accepted == 0
        machine.peers(bad=one, good=other)
        assert machine.sync().sequence == 3
    assert not (machine.at("incoming.git") / "shallow").exists()
    assert not machine.trusted.repo.git("fsck", "--strict").stdout


def test_a_journal_too_large_keeps_no_other_out(
    tmp_path: Path, author: Author, machine: Machine, served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine that fills its journal for years must not keep a new one from hearing of the others."""
    monkeypatch.setattr(incoming, "JOURNALS_SIZE", 60_000)
    for name, size in (("a", 10), ("b", 45_000), ("c", 10)):
        for part in range(2):
            noise = os.urandom(size).hex()
            junk = author.store.write_commit({}, message=noise)
            author.store.update({f"refs/hentou/journals/{name}/{part:016}": junk})
    fetching = incoming.Incoming(machine.host.disk)
    fetching.prepare()
    peer = incoming.Peer("bad", served)
    assert not fetching.journals(peer, ["a", "b", "c"])
    here = {ref.split("/")[3] for ref in fetching.store.refs("refs/incoming/journals")}
    assert here == {"a", "c"}
    # The first one must come.
    assert fetching.journals(peer, ["b", "a", "c"])
