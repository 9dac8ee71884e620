"""Thousands of power cuts and full disks on a simulated disk: the old generation or the new one, whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from agent_world import NOW, FakeClock, FakeSystem, file, generation, link
from lossy_disk import LossyCalls, PowerCutError

from hentou.agent.activate import Exit, Options, activate
from hentou.agent.host import Host
from hentou.agent.recover import expiries, recover
from hentou.agent.state import Pending
from hentou.agent.store import BASE, Store
from hentou.effects.disk import Disk
from hentou.errors import HentouError
from hentou.generation.fragment import Check, CheckKind, Unit, User
from hentou.generation.generation import Generation

OLD = generation(
    file("/etc/stays", "same"),
    file("/etc/changes", "old"),
    file("/etc/mode", "same", mode=0o600),
    file("/etc/leaves/alone", "old only"),
    file("/etc/taken", "ours"),
    link("/etc/link", "old-target"),
    link("/etc/link-leaves", "x"),
    units=(Unit("old.service"),),
    directories=("/srv/old", "/srv/both"),
)
NEW = generation(
    file("/etc/stays", "same"),
    file("/etc/changes", "new, and longer than the old one"),
    file("/etc/mode", "same", mode=0o644),
    file("/etc/comes/deep/down", "new only"),
    file("/etc/found", "in place of what was found"),
    link("/etc/link", "new-target"),
    units=(Unit("new.service"),),
    directories=("/srv/new", "/srv/both"),
)
SEED = 20270301


def host_on(calls: LossyCalls, system: FakeSystem | None = None) -> Host:
    clock = FakeClock()
    disk = Disk(Path("/"), calls)
    host = Host(disk, system or FakeSystem(), now=lambda: NOW, sleep=clock.sleep, monotonic=clock.monotonic)
    # The simulated disk has no processes, so no lock either.
    host.store = _Unlocked(disk)
    return host


class _Unlocked(Store):
    def lock(self):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        self.prepare()
        return nullcontext()


FLAT = generation(
    file("/srv/site/page", "a file"), file("/srv/site/deep/a", "1"), file("/etc/x", "x"), directories=("/srv/d",)
)
FOLDED = generation(
    file("/srv/site/page/index", "in a folder"), file("/srv/site/deep", "a file"), file("/srv/d", "a file too")
)
"""Two generations in which files and folders change places."""


def machine(old: Generation = OLD) -> LossyCalls:
    """A machine that runs the old generation, with files of Debian's own under two of ours."""
    calls = LossyCalls()
    for folder in ("/etc", "/var", "/var/lib", "/srv"):
        calls.mkdir(folder)
    calls.create("/etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n", 0o644, 0, 0)
    calls.create("/etc/group", b"root:x:0:\n", 0o644, 0, 0)
    calls.create("/etc/taken", b"Debian's", 0o640, 0, 0)
    calls.create("/etc/found", b"Debian's too", 0o604, 0, 0)
    assert activate(host_on(calls), old).exit is Exit.ACTIVE
    calls.sync_all()
    return calls


def whole_trees() -> tuple[dict[str, str], dict[str, str]]:
    calls = machine()
    old = calls.tree()
    assert activate(host_on(calls), NEW).exit is Exit.ACTIVE
    return old, calls.tree()


def calls_of(target: Generation, options: Options | None = None) -> int:
    calls = machine()
    before = calls.calls
    activate(host_on(calls), target, options)
    return calls.calls - before


def reboot(calls: LossyCalls, random: Random, cut_again: bool) -> None:
    """Come back, recover as early boot does, and lose power in the middle of that too if asked."""
    calls.reboot(random)
    if cut_again:
        calls.cut_at = calls.calls + random.randint(1, 40)
        try:
            recover(Store(Disk(Path("/"), calls)), "power cut", "now")
        except PowerCutError:
            calls.reboot(random)
        calls.cut_at = None
    assert recover(Store(Disk(Path("/"), calls)), "power cut", "now") in (None, [])


def cut_once(at: int, random: Random, system: FakeSystem, target: Generation = NEW) -> LossyCalls:
    calls = machine()
    calls.cut_at = calls.calls + at
    try:
        activate(host_on(calls, system), target)
    except PowerCutError:
        reboot(calls, random, cut_again=random.random() < 0.3)
    calls.cut_at = None
    return calls


@pytest.mark.parametrize("share", range(4))
def test_power_cut_at_every_call_leaves_one_generation_whole(share: int) -> None:
    old, new = whole_trees()
    points = calls_of(NEW)
    assert points > 60
    for round_number in range(4):
        for at in range(1 + share, points + 2, 4):
            seed = SEED + 1000 * round_number + at
            calls = cut_once(at, Random(seed), FakeSystem())
            state = Store(Disk(Path("/"), calls)).state()
            assert state.pending is None
            assert calls.tree() == (new if state.current == NEW.id else old), (seed, at)
            # And it goes on from there.
            assert activate(host_on(calls), NEW).exit is Exit.ACTIVE
            assert calls.tree() == new, (seed, at)


@pytest.mark.parametrize(("old", "new"), [(FLAT, FOLDED), (FOLDED, FLAT)])
def test_files_and_folders_that_change_places(old: Generation, new: Generation) -> None:
    calls = machine(old)
    before = calls.tree()
    start = calls.calls
    assert activate(host_on(calls), new).exit is Exit.ACTIVE
    after, points = calls.tree(), calls.calls - start
    failing = Generation(replace(new.manifest, checks=(Check("no", CheckKind.COMMAND, "no"),)), new.contents)
    calls = machine(old)
    assert activate(host_on(calls, FakeSystem(failing_commands={"no"})), failing).exit is Exit.UNDONE
    assert calls.tree() == before
    for at in range(1, points + 1):
        calls = machine(old)
        calls.cut_at = calls.calls + at
        with pytest.raises(PowerCutError):
            activate(host_on(calls), new)
        reboot(calls, Random(SEED + at), cut_again=at % 3 == 0)
        state = Store(Disk(Path("/"), calls)).state()
        assert calls.tree() == (after if state.current == new.id else before), at
        assert activate(host_on(calls), new).exit is Exit.ACTIVE
        assert calls.tree() == after, at


def test_power_cut_during_an_undo() -> None:
    old, _ = whole_trees()
    failing = Generation(replace(NEW.manifest, checks=(Check("no", CheckKind.COMMAND, "no"),)), NEW.contents)
    for at in range(1, calls_of(failing) + 40):
        calls = cut_once(at, Random(SEED + at), FakeSystem(failing_commands={"no"}), failing)
        state = Store(Disk(Path("/"), calls)).state()
        assert (state.current, state.pending) == (OLD.id, None)
        assert calls.tree() == old, at


def test_a_full_disk_at_any_moment_loses_nothing() -> None:
    old, new = whole_trees()
    free = machine()
    start = free.used()
    activate(host_on(free), NEW)
    ends = set()
    for room in range(0, 330_000, 5_000):
        calls = machine()
        calls.capacity = start + room
        try:
            end = activate(host_on(calls), NEW).exit
        except HentouError as told:
            assert "No space left on device" in told.message
            end = Exit.ERROR
        state = Store(Disk(Path("/"), calls)).state()
        assert state.pending is None, room
        assert calls.tree() == (new if end is Exit.ACTIVE else old), room
        assert NEW.id not in state.quarantined, "a full disk is no fault of the generation"
        ends.add(end)
    assert ends == {Exit.ERROR, Exit.UNDONE, Exit.ACTIVE}


def test_a_disk_that_fills_up_at_any_write_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = whole_trees()
    for at in range(1, calls_of(NEW)):
        calls = machine()
        limit = calls.calls + at
        monkeypatch.setattr(calls, "_fits", lambda size, c=calls, at=limit: _fills_at(c, size, at))
        try:
            end = activate(host_on(calls), NEW).exit
        except HentouError:
            end = Exit.ERROR
        assert Store(Disk(Path("/"), calls)).state().pending is None, at
        assert calls.tree() == (new if end is Exit.ACTIVE else old), at


def _fills_at(calls: LossyCalls, size: int, at: int) -> None:
    """From one call on, others have eaten all the space there was; what is freed later can be used."""
    if calls.capacity is None and calls.calls >= at:
        calls.capacity = calls.used()
    LossyCalls._fits(calls, size)


def test_early_recovery_needs_nothing_but_the_standard_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pydantic', 'jinja2', 'yaml', 'typer', 'cryptography')));"
        "import hentou.agent.recover; print('pydantic' in str(sys.modules.get('pydantic')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_pending_means_nothing_written() -> None:
    calls = machine()
    before = calls.calls
    assert recover(Store(Disk(Path("/"), calls)), "x", "now") is None
    assert calls.calls == before
    assert calls.lstat(f"{BASE}/state.json") is not None


def test_accounts_come_back_with_the_files() -> None:
    calls = LossyCalls()
    store = Store(Disk(Path("/"), calls))
    for folder in ("/etc", "/var", "/var/lib"):
        calls.mkdir(folder)
    shadow = "stays:!:1::::::\nlocked-by-it:!:1:::::1:\nmade-by-it:!:1::::::\nlocked-before:!:1:::::1:\n"
    calls.create("/etc/shadow", shadow.encode(), 0o600, 0, 0)
    old = generation(users=(User("stays", 1), User("locked-by-it", 2))).manifest
    new = generation(users=(User("stays", 1), User("made-by-it", 3), User("never-made", 4))).manifest
    for manifest in (old, new):
        store.stage(manifest.id, manifest.json, {}, {}, None)
    assert expiries(store, Pending(new.id, old.id, "")) == {"locked-by-it": "", "made-by-it": "1"}
