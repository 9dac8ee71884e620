"""Activation on a machine whose disk is a directory: what changes, what comes back, what is told."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from agent_world import FakeSystem, RecordingCalls, file, generation, host_at, link, tree

from hentou.agent.activate import Exit, Options, activate, preview
from hentou.agent.host import Host
from hentou.effects.disk import Disk, LockedError
from hentou.effects.system import System
from hentou.errors import HentouError
from hentou.generation.fragment import Check, CheckKind, OnChange, Unit
from hentou.generation.generation import Generation

NGINX = Unit("nginx.service", OnChange.RELOAD, ("/etc/nginx/",))
HELLO = Unit("hello.service")
FIRST = generation(
    file("/etc/nginx/a.conf", "one"),
    file("/etc/systemd/system/hello.service", "[Service]\nExecStart=/bin/true\n", "hello"),
    link("/etc/systemd/system/multi-user.target.wants/hello.service", "/etc/systemd/system/hello.service", "hello"),
    units=(HELLO, NGINX),
    directories=("/srv/hello",),
)
SECOND = generation(
    file("/etc/nginx/a.conf", "two"), file("/etc/nginx/deep/b.conf", "b"), units=(NGINX,), directories=("/srv/new",)
)
FAILING = generation(
    file("/etc/nginx/a.conf", "bad"),
    file("/etc/bad/only.conf", "x"),
    units=(NGINX, Unit("bad.service")),
    checks=(Check("page", CheckKind.COMMAND, "curl-page"),),
)


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def host(tmp_path: Path, system: FakeSystem) -> Host:
    return host_at(tmp_path, system)


def test_first_activation_then_nothing_to_do(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    outcome = activate(host, FIRST, Options(commit="abc"))
    assert outcome.exit is Exit.ACTIVE, outcome
    assert tree(tmp_path)["/etc/nginx/a.conf"] == "one"
    assert system.orders == ["arm", "daemon-reload", "start hello.service", "start nginx.service", "disarm"]
    state = host.store.state()
    assert (state.current, state.previous, state.commit, state.pending) == (FIRST.id, None, "abc", None)

    calls = RecordingCalls()
    again = host_at(tmp_path, system, calls)
    system.orders.clear()
    assert activate(again, FIRST).message.endswith("nothing to do")
    assert (calls.writes, system.orders) == ([], [])


def test_what_left_is_removed_and_only_what_changed_is_touched(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    system.orders.clear()
    assert activate(host, SECOND).exit is Exit.ACTIVE
    assert "/etc/systemd/system" not in tree(tmp_path)
    assert "/srv/hello" not in tree(tmp_path)
    assert system.orders == ["arm", "stop hello.service", "daemon-reload", "reload-or-restart nginx.service", "disarm"]
    assert activate(host, FIRST).exit is Exit.ACTIVE
    assert "/etc/nginx/deep" not in tree(tmp_path)
    assert host.store.state().previous == SECOND.id


def test_failed_health_is_undone_quarantined_and_told(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    before = tree(tmp_path)
    system.orders.clear()
    system.failing_commands = {"curl-page"}
    outcome = activate(host, FAILING, Options(commit="def"))
    assert outcome.exit is Exit.UNDONE
    assert outcome.reasons == ("page: curl-page: said no",)
    assert tree(tmp_path) == before
    assert system.active == {"hello.service": "active", "nginx.service": "active", "bad.service": "inactive"}
    state = host.store.state()
    assert state.current == FIRST.id
    assert state.pending is None
    assert state.last_failure is not None
    assert state.last_failure.reasons == outcome.reasons
    system.orders.clear()
    assert activate(host, FAILING).exit is Exit.QUARANTINED
    assert system.orders == []
    system.failing_commands = set()
    assert activate(host, FAILING, Options(retry=True)).exit is Exit.ACTIVE
    assert FAILING.id not in host.store.state().quarantined


def test_a_first_activation_that_fails_leaves_the_machine_as_it_was(
    tmp_path: Path, host: Host, system: FakeSystem
) -> None:
    (tmp_path / "etc/nginx").mkdir()
    (tmp_path / "etc/nginx/a.conf").write_text("Debian's")
    before = tree(tmp_path)
    system.failing_commands = {"curl-page"}
    assert activate(host, FAILING).exit is Exit.UNDONE
    assert tree(tmp_path) == before
    assert host.store.state().current is None


def test_what_stood_there_before_hentou_comes_back_when_it_leaves(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/nginx").mkdir()
    (tmp_path / "etc/nginx/a.conf").write_text("Debian's")
    (tmp_path / "etc/nginx/a.conf").chmod(0o600)
    activate(host, FIRST)
    activate(host, generation(units=(NGINX,)))
    assert (tmp_path / "etc/nginx/a.conf").read_text() == "Debian's"
    assert (tmp_path / "etc/nginx/a.conf").stat().st_mode & 0o777 == 0o600


def test_a_step_that_fails_is_undone_with_its_own_words(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    before = tree(tmp_path)
    system.refused = {"bad.service"}
    outcome = activate(host, FAILING)
    assert outcome.exit is Exit.UNDONE
    assert outcome.reasons[0] == "systemctl start bad.service: refused"
    assert tree(tmp_path) == before


def test_a_unit_that_crashes_after_its_start_is_seen(host: Host, system: FakeSystem) -> None:
    system.crashing = {"bad.service"}
    outcome = activate(host, FAILING)
    assert outcome.exit is Exit.UNDONE
    assert outcome.reasons == ("bad.service failed (last words of bad.service)",)


@pytest.mark.parametrize(("before", "after", "end"), [
    ({"fd00::1"}, set(), Exit.UNDONE),
    (set(), set(), Exit.ACTIVE),
    ({"fd00::1"}, {"fd00::2"}, Exit.ACTIVE),
])  # fmt: skip
def test_connectivity(tmp_path: Path, before: set[str], after: set[str], end: Exit) -> None:
    class Switch(FakeSystem):
        def systemctl(self, verb: str, *units: str, timeout: float = 0) -> None:
            super().systemctl(verb, *units, timeout=timeout)
            self.answering = after

    host = host_at(tmp_path, Switch(answering=before))
    wanted = generation(file("/etc/x", "1"), units=(HELLO,), peers=("fd00::1", "fd00::2"))
    outcome = activate(host, wanted)
    assert outcome.exit is end
    if end is Exit.UNDONE:
        assert "no peer answers any more (fd00::1, fd00::2)" in outcome.reasons[0]


def test_a_signal_undoes(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    before = tree(tmp_path)

    def interrupted(words: object, timeout: float) -> str:
        signal.raise_signal(signal.SIGTERM)
        return ""

    system.command = interrupted  # type: ignore[method-assign,assignment]
    monkeyed = generation(file("/etc/nginx/a.conf", "x"), units=(NGINX,), checks=FAILING.manifest.checks)
    host.tell = lambda line: signal.raise_signal(signal.SIGTERM) if line.startswith("checking") else None
    outcome = activate(host, monkeyed)
    assert outcome.exit is Exit.UNDONE
    assert outcome.reasons == ("interrupted by SIGTERM",)
    assert tree(tmp_path) == before
    assert monkeyed.id not in host.store.state().quarantined


def test_a_dead_activation_is_undone_by_the_next(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    activate(host, FIRST)
    before = tree(tmp_path)

    class Dead(BaseException):
        pass

    def die() -> None:
        raise Dead

    monkeypatch.setattr("hentou.agent.activate.die", die)
    points = len(preview(host, SECOND).steps) + 6
    for point in range(1, points):
        with pytest.raises(Dead):
            activate(host, SECOND, Options(stop_before=point))
        pending = host.store.state().pending
        outcome = activate(host, FIRST)
        assert outcome.exit is Exit.ACTIVE
        assert tree(tmp_path) == before, point
        assert (pending is None) == (point <= 2)
    with pytest.raises(Dead):
        activate(host, SECOND, Options(stop_before=points))
    assert host.store.state().current == SECOND.id


def test_one_at_a_time(tmp_path: Path, host: Host) -> None:
    with host.store.lock(), pytest.raises(LockedError, match="another hentou command is changing this machine"):
        activate(host_at(tmp_path), FIRST)


def test_missing_files_and_stopped_units_are_put_right(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    (tmp_path / "etc/nginx/a.conf").unlink()
    system.active["hello.service"] = "inactive"
    steps = [str(step) for step in preview(host, FIRST).steps]
    assert steps == [
        "write /etc/nginx/a.conf  (missing; base)",
        "reload nginx.service  (restored: /etc/nginx/a.conf)",
        "start hello.service  (not running; hello)",
    ]
    assert activate(host, FIRST).exit is Exit.ACTIVE
    assert host.store.state().previous is None
    assert preview(host, FIRST).steps == ()


def test_a_generation_that_differs_only_in_reasons_becomes_current(host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    system.orders.clear()
    renamed = Generation(generation(
        *[(entry, FIRST.contents.get(entry.digest, b"")) for entry in FIRST.manifest.entries],
        units=(HELLO, NGINX), directories=("/srv/hello",), health_timeout=31,
    ).manifest, FIRST.contents)  # fmt: skip
    assert activate(host, renamed).exit is Exit.ACTIVE
    assert host.store.state().current == renamed.id
    assert system.orders == ["arm", "disarm"]


def test_the_real_debian_is_asked_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Told:
        stdout = (
            "Type=notify\nActiveState=active\nSubState=running\nLoadState=loaded\nRemainAfterExit=no\n"
            "InactiveExitTimestampMonotonic=12\n\n"
            "Type=\nActiveState=inactive\nSubState=dead\nLoadState=not-found\n"
        )

    def run(command: object, **_: object) -> Told:
        asked.append(command)
        return Told()

    monkeypatch.setattr("hentou.effects.system.run", run)
    states = System().units(["a.service", "b.service"])
    assert list(states) == ["a.service"]
    assert states["a.service"].active == "active"
    assert len(asked) == 1


def test_a_file_of_an_account_that_is_not_there_is_told(tmp_path: Path, host: Host) -> None:
    entry, data = file("/etc/x", "x")
    wanted = generation((type(entry)(entry.path, "web", (), owner="web", digest=entry.digest, size=1), data))
    outcome = activate(host, wanted)
    assert outcome.exit is Exit.UNDONE
    assert outcome.reasons == ("/etc/x belongs to web, an account this machine does not have",)


def test_a_damaged_state_is_told(tmp_path: Path, host: Host) -> None:
    host.store.prepare()
    (tmp_path / "var/lib/hentou/state.json").write_text("{")
    with pytest.raises(HentouError, match=r"state\.json cannot be read"):
        activate(host, FIRST)


def test_a_full_disk_while_staging_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_at(tmp_path)
    activate(host, FIRST)
    before = tree(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(host.disk._calls, "create", full)
    with pytest.raises(HentouError, match="No space left on device") as told:
        activate(host, SECOND)
    assert "free some space" in told.value.hint
    assert tree(tmp_path) == before
    assert host.store.state().current == FIRST.id
    assert isinstance(host.disk, Disk)


def test_an_unexpected_error_undoes_too(tmp_path: Path, host: Host, system: FakeSystem) -> None:
    activate(host, FIRST)
    before = tree(tmp_path)

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a mistake of ours")

    system.install = broken  # type: ignore[method-assign]
    outcome = activate(host, generation(packages=("x",), units=(NGINX,)))
    assert outcome.exit is Exit.UNDONE
    assert outcome.reasons[0] == "KeyError: 'a mistake of ours'"
    assert tree(tmp_path) == before
