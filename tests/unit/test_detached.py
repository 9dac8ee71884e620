"""A machine that is deliberately left alone: how that is remembered, when it ends, and what the verbs say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_world import NOW, RecordingCalls, host_at
from feature_world import FILES
from typer.testing import CliRunner

from hentou.agent import detached
from hentou.agent.detached import Detached
from hentou.agent.host import Host
from hentou.cli import app as cli_app
from hentou.cli import attach as attach_verb
from hentou.cli import detach as detach_verb
from hentou.effects.disk import Disk
from hentou.effects.process import Result
from hentou.errors import HentouError


def test_detached_and_attached_again(tmp_path: Path) -> None:
    host = host_at(tmp_path)
    assert detached.current(host) is None
    found = detached.detach(host, by="maiwenn", why=" the  festival\nthis week ")
    assert found == Detached("maiwenn", "the festival this week", NOW.isoformat(timespec="seconds"))
    assert detached.current(host_at(tmp_path)) == found
    assert found.record == {"by": "maiwenn", "why": "the festival this week", "since": "2027-03-01T12:00:00+00:00"}
    assert detached.attach(host) == found
    assert detached.current(host) is None
    assert detached.attach(host) is None


def test_it_ends_by_itself(tmp_path: Path) -> None:
    host = host_at(tmp_path)
    end = NOW + timedelta(hours=3)
    detached.detach(host, by="maiwenn", why="festival", until=end)
    host.now = lambda: end - timedelta(seconds=1)
    assert detached.current(host) is not None
    host.now = lambda: end
    assert detached.current(host) is None
    again = detached.detach(host, by="yuna", why="once more")
    assert again.since == host.moment()


def test_detaching_again_renews_reason_and_end_and_keeps_the_beginning(tmp_path: Path) -> None:
    host = host_at(tmp_path)
    first = detached.detach(host, by="maiwenn", why="festival", until=NOW + timedelta(hours=3))
    host.now = lambda: NOW + timedelta(hours=1)
    assert detached.detach(host, by="yuna", why="longer") == Detached("yuna", "longer", first.since)


def test_it_is_durable_before_the_verb_returns(tmp_path: Path) -> None:
    calls = RecordingCalls()
    host = host_at(tmp_path, calls=calls)
    host.store.prepare()
    calls.writes.clear()
    detached.detach(host, by="maiwenn", why="festival")
    assert calls.writes == ["create", "rename", "sync_directory"]
    calls.writes.clear()
    detached.attach(host)
    assert calls.writes == ["unlink", "sync_directory"]


@pytest.mark.parametrize("why", ["", "  \n", "\0\x1b", "x" * 501])
def test_a_reason_is_needed_and_short(tmp_path: Path, why: str) -> None:
    with pytest.raises(HentouError) as error:
        detached.detach(host_at(tmp_path), by="maiwenn", why=why)
    assert error.value.hint
    assert detached.current(host_at(tmp_path)) is None


def test_a_reason_steers_no_terminal(tmp_path: Path) -> None:
    found = detached.detach(host_at(tmp_path), by="maiwenn", why="\x1b[2Jall is well\u202e\ud800")
    assert found.why == "[2Jall is well"


def test_an_end_in_the_past_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HentouError, match="is past"):
        detached.detach(host_at(tmp_path), by="maiwenn", why="festival", until=NOW)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b'{"until": "soon"}', b"\xff", b"[" * 10000])
def test_a_record_that_cannot_be_read_still_detaches(tmp_path: Path, data: bytes) -> None:
    host = host_at(tmp_path)
    host.store.prepare()
    host.disk.write(detached.PATH, data)
    found = detached.current(host)
    assert found is not None
    assert found.why == "/var/lib/hentou/detached.json cannot be read"
    detached.attach(host)
    assert detached.current(host) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3d", NOW + timedelta(days=3)),
        ("12h", NOW + timedelta(hours=12)),
        ("90min", NOW + timedelta(minutes=90)),
        ("2027-03-09T18:00+01:00", datetime(2027, 3, 9, 17, tzinfo=UTC)),
        ("2027-03-09T18:00Z", datetime(2027, 3, 9, 18, tzinfo=UTC)),
        ("2027-03-09T18:00", datetime(2027, 3, 9, 18).astimezone(UTC)),
        ("2027-03-09", datetime(2027, 3, 9).astimezone(UTC)),
    ],
)
def test_ends_as_people_write_them(text: str, expected: datetime) -> None:
    assert detached.parse_until(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "3", "3w", "-3d", "99999999d", "2027-02-31", "0001-01-01", "3d\n/etc"])
def test_no_times(text: str, tmp_path: Path) -> None:
    with pytest.raises(HentouError):
        detached.detach(host_at(tmp_path), by="x", why="x", until=detached.parse_until(text, NOW))


# The verbs.


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The verbs think that they run on heather, at the moor; called by maiwenn with sudo."""
    host = host_at(tmp_path)
    host.disk.make_directory("/etc/hentou")
    host.disk.write("/etc/hentou/machine", b"heather\n")
    host.disk.write("/etc/hentou/agent.json", b'{"machine": "heather", "site": "moor"}')
    _bind(monkeypatch, host)
    monkeypatch.setenv("SUDO_USER", "maiwenn")
    return host


def _bind(monkeypatch: pytest.MonkeyPatch, host: Host) -> None:
    for verb in (detach_verb, attach_verb):
        monkeypatch.setattr(verb, "Host", lambda **_: host)
        monkeypatch.setattr(verb, "this_machine", lambda: "heather")
    monkeypatch.setattr(detach_verb, "Disk", lambda: host.disk)
    monkeypatch.setattr(detach_verb.clock, "now", host.now)


def run(*words: str, answer: str = "") -> Any:
    command = cli_app.typer.Typer()
    command.command("detach")(detach_verb.detach)
    command.command("attach")(attach_verb.attach)
    return CliRunner().invoke(command, list(words), input=answer)


def test_a_referent_detaches_their_machine(machine: Host) -> None:
    done = run("detach", "--why", "festival", "--until", "3d")
    assert done.exit_code == 0
    assert "heather is detached until 2027-03-04T12:00:00+00:00 by maiwenn: festival" in done.stdout
    found = detached.current(machine)
    assert found is not None
    assert (found.by, found.why) == ("maiwenn", "festival")
    assert json.loads(run("detach", "moor", "--why", "longer", "--json").stdout) == {
        "machine": "heather", "by": "maiwenn", "why": "longer", "since": "2027-03-01T12:00:00+00:00"
    }  # fmt: skip


def test_root_without_sudo_is_root(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER")
    assert run("detach", "--why", "disk").exit_code == 0
    assert (detached.current(machine) or Detached("", "", "")).by == "root"


@pytest.mark.parametrize("verb", ["detach", "attach"])
def test_a_machine_acts_for_its_own_site_only(machine: Host, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may run this with sudo must not bring root to read a repository of theirs, or to go elsewhere."""
    monkeypatch.setattr(detach_verb, "at_each_machine", None)
    monkeypatch.setattr(attach_verb, "at_each_machine", None)
    words = ["--why", "x"] if verb == "detach" else ["--yes"]
    done = run(verb, "quay", *words)
    assert isinstance(done.exception, HentouError)
    assert "acts for itself only" in done.exception.message
    machine.disk.remove("/etc/hentou/agent.json")
    assert isinstance(run(verb, "moor", *words).exception, HentouError)
    assert detached.current(machine) is None


def test_attach_asks_and_converges(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[bool, bool]] = []

    def converge(*, dry_run: bool = False, json: bool) -> None:
        assert not json
        done.append((dry_run, detached.current(machine) is not None))
        if len(done) == 1:
            raise HentouError("no collective.yaml in it")

    monkeypatch.setattr(attach_verb.converge, "converge", converge)
    detached.detach(machine, by="maiwenn", why="festival")
    assert "the difference cannot be shown: no collective.yaml in it" in run("attach", "--dry-run").output
    assert run("attach", answer="n\n").exit_code == 0
    assert done == [(True, True), (True, True)]
    assert run("attach", answer="y\n").exit_code == 0
    assert done[2:] == [(True, True), (False, False)]
    assert detached.current(machine) is None
    assert "attached already" in run("attach", "--yes").stdout
    assert len(done) == 4


def test_a_script_is_not_asked(machine: Host) -> None:
    assert isinstance(run("attach", "--json").exception, HentouError)


class FakeLink:
    """What was asked of which machine; one of them does not answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], bool]] = []

    def each(self, site: str, verb: str, words: list[str]) -> Any:
        assert (site, verb) == ("moor", words[0])
        self.asked.append((site, tuple(words), True))
        yield "heather", Result((), 0, "heather says yes\n", "")
        yield "gorse", Result((), 255, "", "gorse does not answer")


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLink:
    link = FakeLink()
    monkeypatch.setattr(detach_verb, "Disk", lambda: Disk(tmp_path))
    monkeypatch.setattr(detach_verb.clock, "now", lambda: NOW)
    monkeypatch.setattr(detach_verb, "at_each_machine", link.each)
    monkeypatch.setattr(attach_verb, "at_each_machine", link.each)
    return link


def test_a_laptop_tells_every_machine_of_the_site(laptop: FakeLink) -> None:
    done = run("detach", "moor", "--why", "festival", "--until", "12h")
    assert done.exit_code == 1
    assert "heather says yes" in done.stdout
    assert "not done on gorse" in done.stdout
    words = ("detach", "--why", "festival", "--until", "2027-03-02T00:00:00+00:00")
    assert laptop.asked == [("moor", words, True)]
    told = json.loads(run("detach", "moor", "--why", "festival", "--json").stdout)
    assert told == {
        "gorse": {"done": False, "said": "gorse does not answer"}, "heather": {"done": True, "said": "heather says yes"}
    }  # fmt: skip


def test_a_laptop_sees_the_difference_before_it_attaches(laptop: FakeLink) -> None:
    assert run("attach", "moor", answer="n\n").exit_code == 0
    assert [words for _, words, _ in laptop.asked] == [("attach", "--dry-run")]
    assert run("attach", "moor", answer="y\n").exit_code == 1
    assert [words for _, words, _ in laptop.asked[1:]] == [("attach", "--dry-run"), ("attach", "--yes")]


def test_a_laptop_whose_machines_all_fail_asks_nothing(laptop: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object) -> Any:
        yield "gorse", Result((), 255, "", "gorse is not enrolled: no key\n  → `hentou enrol` first")

    monkeypatch.setattr(attach_verb, "at_each_machine", nobody)
    monkeypatch.setattr(detach_verb, "at_each_machine", nobody)
    for words in (["attach", "moor"], ["detach", "moor", "--why", "x"]):
        done = run(*words, answer="y\n")
        assert done.exit_code == 1
        assert done.output == "gorse is not enrolled: no key\n  → `hentou enrol` first\n"
    assert laptop.asked == []


def test_a_laptop_must_say_which_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detach_verb, "Disk", lambda: Disk(tmp_path))
    for words in (["detach", "--why", "x"], ["attach", "--yes"]):
        error = run(*words).exception
        assert isinstance(error, HentouError)
        assert "a site must be named" in error.message
    error = run("detach", "moor").exception
    assert isinstance(error, HentouError)
    assert "needs a reason" in error.message


class FakeReach:
    """Of the coast's machines only heather answers."""

    def __init__(self, repository: Path, *, collective: Any) -> None:
        assert repository == Path.cwd()
        assert collective.domain == "coast.example"

    def __enter__(self) -> FakeReach:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self, machine: str) -> FakeReach:
        if machine != "heather":
            raise HentouError(f"{machine} does not answer")
        return self

    def run(self, words: list[str], *, timeout: float, root: bool) -> Result:
        assert root
        assert timeout > 0
        return Result(tuple(words), 0, f"{' '.join(words)}\n", "")


def test_each_managed_machine_of_the_site_is_asked_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hentou.admin.reach

    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hentou.admin.reach, "Reach", FakeReach)
    found = dict(detach_verb.at_each_machine("moor", "attach", ["attach", "--yes"]))
    assert {machine: done.status for machine, done in found.items()} == {"gorse": 255, "heather": 0}
    assert found["heather"].stdout == "hentou attach --yes\n"
    assert found["gorse"].stderr == "gorse does not answer"
    assert list(dict(detach_verb.at_each_machine("quay", "attach", ["attach"]))) == ["anchor"]
    with pytest.raises(HentouError, match="no site is called mor"):
        list(detach_verb.at_each_machine("mor", "attach", ["attach"]))
