"""The resident agent itself: its own process, real datagrams, and a `hentou` that only notes how it was called."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hentou.agent import hints, resident
from hentou.agent.hints import Stand, Word
from hentou.effects import notify
from hentou.effects.datagrams import Datagrams
from hentou.effects.disk import Disk
from hentou.effects.process import end, spawn

pytestmark = pytest.mark.integration

AGENT = "127.0.0.1"
PATIENCE = 20.0
"""Seconds after which something that should happen at once counts as not happening."""

FAKE = """#!/bin/sh
# Writes down how it was called, what it found around it, and does what the test says.
echo "$(date +%s.%N) $$ $* notify=$NOTIFY_SOCKET" >>"{folder}/calls"
[ ! -e "{folder}/act" ] || . "{folder}/act"
"""


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Scene:
    """An agent's machine, and its peers: sockets of this test, on addresses of the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        for name in ("etc/hentou", "var/lib/hentou"):
            (self.root / name).mkdir(parents=True)
        self.program = folder / "hentou"
        self.program.write_text(FAKE.format(folder=folder))
        self.program.chmod(0o755)
        self.peers: dict[str, Datagrams] = {}
        first = Datagrams("127.0.0.2", 0)
        self.port = first.port
        self.peers["p2"] = first
        self.heart = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heart.bind(str(folder / "notify"))
        self.heart.settimeout(PATIENCE)
        self.process: subprocess.Popen[bytes] | None = None
        self.have(Stand(1, b"1" * 16))

    def peer(self, name: str) -> Datagrams:
        if name not in self.peers:
            self.peers[name] = Datagrams(f"127.0.0.{name[1:]}", self.port)
        return self.peers[name]

    def configure(self, *names: str, poll: int = 60, address: str = AGENT) -> None:
        peers = [{"name": name, "address": f"127.0.0.{name[1:]}"} for name in names]
        record = {"machine": "me", "site": "moor", "address": address, "port": self.port, "poll": poll, "peers": peers}
        Disk(self.root).write(hints.CONFIGURATION, json.dumps(record).encode(), uid=os.getuid(), gid=os.getgid())

    def have(self, stand: Stand, again: float = 0) -> None:
        record = {"sequence": stand.sequence, "digest": stand.digest.hex(), "again": again}
        data = json.dumps(record).encode()
        Disk(self.root).write(hints.DIGEST, data, uid=os.getuid(), gid=os.getgid())

    def act(self, script: str) -> None:
        """What the next runs of the fake `hentou` do besides."""
        (self.folder / "act.new").write_text(script)
        (self.folder / "act.new").rename(self.folder / "act")

    def start(self, code: str = "pass") -> subprocess.Popen[bytes]:
        words = f"import sys; from pathlib import Path; {code}; from hentou.agent.resident import main; "
        words += f"sys.exit(main(Path({str(self.root)!r}), {str(self.program)!r}))"
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": "1"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", words], env=environment, stderr=log)
        return self.process

    def beat(self) -> str:
        return self.heart.recv(4096).decode()

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        return [" ".join(line.split()[2:-1]) for line in self.lines]

    @property
    def lines(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def say(self, name: str, word: Word, stand: Stand) -> None:
        assert self.peer(name).send(AGENT, self.port, hints.pack(word, stand))

    def hears(self, name: str, seconds: float = PATIENCE) -> tuple[Word, Stand]:
        found = self.peer(name).receive(seconds, 1)
        assert found, f"{name} heard nothing"
        address, data = found[0]
        said = hints.unpack(data)
        assert address == AGENT
        assert said
        return said

    def greet(self, *names: str) -> None:
        """The agent has asked these whether they are there; they answer that they have the same."""
        mine = hints.stand(Disk(self.root))
        for name in names:
            assert self.hears(name) == (Word.KNOCK, mine)
        for name in names:
            self.say(name, Word.TELL, mine)

    def settle(self, *names: str, code: str = "pass") -> None:
        """Started, greeted, and done with what it does at its start."""
        self.configure(*names)
        self.start(code)
        self.greet(*names)
        until(lambda: len(self.calls) >= 2, "a sync at the start, and one with the first that answers")
        time.sleep(resident.SPACING + 0.5)
        (self.folder / "calls").write_text("")

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        for line in self.lines:
            try:
                os.killpg(int(line.split()[1]), signal.SIGKILL)
            except ProcessLookupError:
                continue
        for peer in self.peers.values():
            peer.close()
        self.heart.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.close()


NEWS = Stand(2, b"2" * 16)


def test_it_says_that_it_is_ready_then_that_it_goes_on(scene: Scene) -> None:
    scene.start()
    assert scene.beat() == "READY=1"
    assert scene.beat() == "WATCHDOG=1\nSTATUS=Sequence 1; 0 of 0 peers answer"
    assert scene.beat() == "WATCHDOG=1"


def test_machine_that_is_not_enrolled_rests(scene: Scene) -> None:
    scene.start()
    scene.beat()
    assert scene.peer("p2").receive(1, 1) == []
    assert scene.calls == []
    scene.configure("p2")
    until(lambda: scene.calls, "enrolled, it syncs")
    assert scene.calls[0] == "sync"


def test_it_syncs_at_its_start_and_with_the_first_that_answers(scene: Scene) -> None:
    scene.configure("p2", "p3")
    scene.peer("p3")
    scene.start()
    scene.greet("p2")
    until(lambda: len(scene.calls) >= 2, "no second sync")
    assert scene.calls == ["sync", "sync --from p2"]
    assert all(line.endswith("notify=") for line in scene.lines)


def test_a_hint_makes_it_sync_from_the_sender(scene: Scene) -> None:
    scene.peer("p3")
    scene.settle("p2", "p3")
    begin = time.time()
    scene.say("p3", Word.TELL, NEWS)
    until(lambda: scene.calls, "no sync")
    assert scene.calls == ["sync --from p3"]
    assert float(scene.lines[0].split()[0]) - begin < PATIENCE / 4


def test_one_that_asks_is_answered_only_if_there_is_a_difference(scene: Scene) -> None:
    scene.settle("p2")
    mine = Stand(1, b"1" * 16)
    scene.say("p2", Word.ASK, mine)
    scene.say("p2", Word.KNOCK, mine)
    scene.say("p2", Word.ASK, NEWS)
    assert [scene.hears("p2") for _ in range(2)] == [(Word.TELL, mine)] * 2
    assert scene.peer("p2").receive(0.5, 1) == []


def test_rubbish_and_strangers_are_not_heard(scene: Scene) -> None:
    scene.settle("p2")
    scene.say("p9", Word.TELL, NEWS)
    scene.say("p9", Word.KNOCK, NEWS)
    for data in (b"", b"x" * 1400, hints.pack(Word.TELL, NEWS)[:-1], b"HNT1" + b"\xff" * 25):
        scene.peer("p2").send(AGENT, scene.port, data)
    time.sleep(1)
    assert scene.calls == []
    assert scene.peer("p9").receive(0.1, 1) == []
    assert scene.process
    assert scene.process.poll() is None


def test_one_sync_at_a_time_and_hints_are_put_together(scene: Scene) -> None:
    scene.peer("p3")
    scene.settle("p2", "p3")
    scene.act(f'echo start >>"{scene.folder}/order"; sleep 2; echo end >>"{scene.folder}/order"')
    for _ in range(200):
        scene.say("p2", Word.TELL, NEWS)
        scene.say("p3", Word.TELL, NEWS)
    until(lambda: len(scene.calls) >= 2, "both are heard in the end")
    until(lambda: (scene.folder / "order").read_text().count("end") >= 2, "no end")
    words = (scene.folder / "order").read_text().split()[:4]
    assert words == ["start", "end", "start", "end"]
    assert sorted(scene.calls[:2]) == ["sync --from p2", "sync --from p3"]


def test_what_one_sync_brought_is_not_fetched_again(scene: Scene) -> None:
    scene.peer("p3")
    scene.settle("p2", "p3")
    record = json.dumps({"sequence": NEWS.sequence, "digest": NEWS.digest.hex()})
    digest = scene.root / "var/lib/hentou/digest"
    scene.act(f"sleep 1; echo '{record}' >{digest}.new; mv {digest}.new {digest}")
    scene.say("p2", Word.TELL, NEWS)
    until(lambda: scene.calls, "no sync")
    scene.say("p3", Word.TELL, NEWS)
    time.sleep(4)
    assert scene.calls == ["sync --from p2"]


def test_after_news_everybody_is_asked_whether_they_heard(scene: Scene) -> None:
    scene.settle("p2", code="from hentou.agent import neighbours; neighbours.ROUND = 1.0")
    scene.have(NEWS)
    assert scene.hears("p2") == (Word.KNOCK, NEWS)


def test_a_liar_is_believed_ever_more_rarely(scene: Scene) -> None:
    scene.settle("p2")
    for number in range(40):
        scene.say("p2", Word.TELL, Stand(100 + number, bytes([number]) * 16))
        time.sleep(0.25)
    assert 2 <= len(scene.calls) <= 4


def test_sync_that_fails_is_told_and_tried_again(scene: Scene) -> None:
    scene.settle("p2")
    scene.act("exit 7")
    scene.say("p2", Word.TELL, NEWS)
    until(lambda: len(scene.calls) >= 2, "not tried again")
    assert "hentou-agent: sync from p2 ended with status 7" in scene.log


def test_hentou_that_is_missing_is_told_and_waited_for(scene: Scene) -> None:
    aside = scene.program.rename(scene.folder / "aside")
    scene.configure("p2")
    scene.start()
    until(lambda: "cannot run" in scene.log, "not told")
    aside.rename(scene.program)
    scene.greet("p2")
    scene.say("p2", Word.TELL, NEWS)
    until(lambda: scene.calls, "not tried again")


def test_sync_wanted_for_later_is_not_forgotten(scene: Scene) -> None:
    scene.settle("p2")
    scene.have(Stand(1, b"1" * 16), again=time.time() + 1)
    until(lambda: scene.calls, "no sync")
    time.sleep(2)
    assert scene.calls == ["sync --inbox-only"]


def test_now_and_then_it_syncs_though_nobody_told_it_anything(scene: Scene) -> None:
    scene.settle("p2", code="from hentou.agent import resident; resident.ANYWAY = 0.04; resident.ASKING = 2")
    until(lambda: len(scene.calls) >= 2, "no sync")
    assert sorted(scene.calls[:2]) == ["sync --from p2", "sync --inbox-only"]


def test_other_peers_are_known_as_soon_as_they_are_written(scene: Scene) -> None:
    scene.settle("p2")
    scene.peer("p3")
    scene.configure("p3")
    scene.greet("p3")
    scene.say("p2", Word.KNOCK, NEWS)
    assert scene.peer("p2").receive(0.5, 1) == []


def test_another_address_is_listened_on(scene: Scene) -> None:
    scene.settle("p2")
    scene.configure("p2", address="127.0.0.42")
    until(lambda: [a for a, _ in scene.peer("p2").receive(5, 1)] == ["127.0.0.42"], "not from the new one")


def test_damaged_configuration_leaves_the_old_one(scene: Scene) -> None:
    scene.settle("p2")
    (scene.root / "etc/hentou/agent.json").write_text("{")
    until(lambda: "agent.json cannot be read" in scene.log, "not told")
    scene.say("p2", Word.TELL, NEWS)
    until(lambda: scene.calls, "no sync")


def test_port_that_is_taken_is_waited_for(scene: Scene) -> None:
    taken = Datagrams(AGENT, scene.port)
    scene.configure("p2")
    scene.start()
    until(lambda: scene.calls, "it works, without hints")
    taken.close()
    scene.greet("p2")


def test_told_to_stop_it_stops_at_once_and_its_sync_goes_on(scene: Scene) -> None:
    scene.settle("p2")
    scene.act(f'sleep 3; echo done >"{scene.folder}/done"')
    scene.say("p2", Word.TELL, NEWS)
    until(lambda: scene.calls, "no sync")
    assert scene.process
    begin = time.monotonic()
    scene.process.terminate()
    assert scene.process.wait(5) == -signal.SIGTERM
    assert time.monotonic() - begin < 2
    until((scene.folder / "done").exists, "the sync was stopped with it")


def test_a_sync_that_takes_too_long_is_ended_with_all_it_started(scene: Scene) -> None:
    scene.configure("p2")
    scene.act(f'trap "" TERM; sleep 600 & echo $! >"{scene.folder}/inner"; wait; wait')
    scene.start("from hentou.agent import resident; resident.LIMIT = 1.0; resident.GRACE = 1.0")
    until(lambda: "sync takes longer than 1 s: it is stopped" in scene.log, "not stopped")
    until(lambda: "sync ended with status -9" in scene.log, "not killed")
    inner = int((scene.folder / "inner").read_text())
    until(lambda: not Path(f"/proc/{inner}/exe").exists(), "what it started lives on")


def test_no_sign_of_life_while_a_child_cannot_be_ended(scene: Scene) -> None:
    """For which a child that ignores SIGTERM has to stand in, with an agent that never gets to SIGKILL."""
    scene.configure("p2")
    scene.act("trap '' TERM; sleep 600; sleep 600")
    scene.start(
        "from hentou.agent import resident; resident.LIMIT = 0.5; resident.GRACE = 0.5; "
        "resident.end = lambda program, kill=False: None"
    )
    until(lambda: scene.calls, "no sync")
    time.sleep(3)
    scene.heart.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            scene.heart.recv(4096)
    scene.heart.settimeout(3)
    with pytest.raises(TimeoutError):
        scene.beat()


def test_updated_it_ends_to_be_started_anew_once_the_update_is_whole(scene: Scene, tmp_path: Path) -> None:
    package = tmp_path / "site" / "hentou"
    shutil.copytree(Path(resident.__file__).parents[1], package)
    process = scene.start(
        f"sys.path.insert(0, {str(package.parent)!r}); from hentou.agent import resident; resident._OWN_CODE = 0.5"
    )
    assert scene.beat() == "READY=1"
    changed = package / "agent" / "hints.py"
    text = changed.read_text()
    changed.unlink()
    scene.configure("p2")
    until(lambda: scene.calls, "it goes on while the update is half there")
    scene.act(f'sleep 4; echo done >"{scene.folder}/done"')
    scene.greet("p2")
    scene.say("p2", Word.TELL, NEWS)
    until(lambda: len(scene.calls) >= 2, "no sync")
    changed.write_text(text + "# newer\n")
    assert process.wait(PATIENCE) == 0
    assert (scene.folder / "done").exists(), "it left before its sync ended"
    assert "hentou was updated: starting anew" in scene.log


def test_memory_stays_small(scene: Scene) -> None:
    scene.settle("p2")
    assert scene.process
    status = Path(f"/proc/{scene.process.pid}/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert kilobytes < 30_000


def test_nobody_asked_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.notify(notify.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
    notify.notify(notify.READY)


def test_what_is_spawned_is_ended_with_its_own_children() -> None:
    program = spawn(["sh", "-c", "sleep 600 & sleep 600"])
    end(program)
    assert program.wait(PATIENCE) == -signal.SIGTERM
    end(program)
