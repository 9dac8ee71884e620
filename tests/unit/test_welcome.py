"""A machine from a bundle of its own: pinned and filled, shown to people, calling home, brought in by enrolment."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from admin_world import machine_at, told, working_copy
from agent_world import host_at

from hentou.admin import publish
from hentou.admin.enrol import ask, enrol
from hentou.admin.signing import choose
from hentou.admin.workcopy import WorkCopy, found
from hentou.agent import carried
from hentou.agent.bootstrap import Bootstrap, is_enrolled
from hentou.agent.carried import WAITING
from hentou.agent.follow import Done
from hentou.agent.host import Host
from hentou.agent.inbox import HEADS, Inbox
from hentou.agent.page import FOLDER, pages
from hentou.agent.state import State
from hentou.agent.sync import Options, sync
from hentou.agent.trusted import TrustStore
from hentou.agent.welcome import ISSUE, Sight, Welcome, addresses, welcome
from hentou.effects.process import run
from hentou.effects.web import JSON, Page
from hentou.errors import HentouError
from hentou.lab.bundle import for_machine, general
from hentou.ledger.statements import PROPOSALS

pytestmark = pytest.mark.integration


class Laptop:
    """An admin's working copy, whose head is published by signing it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = working_copy(folder)
        self.copy = WorkCopy(self.repository)
        found(self.copy)

    def enrol(self, name: str, said: dict[str, str]) -> None:
        enrol(self.repository, name, said, identities=[self.folder / "yuna"])

    def publish(self) -> None:
        trust = found(self.copy)
        signer = choose(self.copy, trust.roster, self.folder / "yuna")
        settled = publish.settle(self.copy, publish.sign(self.copy, publish.propose(self.copy), signer), "yuna")
        assert not settled.missing

    def push(self, host: Host) -> None:
        """As over SSH, or as a gateway that serves what it accepted."""
        trust = self.copy.trust
        assert trust
        inbox = Inbox(host.disk)
        inbox.prepare()
        tip = self.copy.store.get("refs/hentou/statements")
        refs = [f"+{tip}:{PROPOSALS}/yuna", f"+{trust.head}:{HEADS}/{trust.head}"]
        self.copy.store.git("push", "--quiet", str(inbox.store.path), *refs)
        sync(host, Options(inbox_only=True, follow=False))


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    found = Laptop(tmp_path)
    found.enrol("vps-1", machine_at(tmp_path / "vps-1", "vps-1"))
    found.publish()
    return found


@pytest.fixture
def host(tmp_path: Path) -> Host:
    machine_at(tmp_path / "k", "kerminy-1")
    return host_at(tmp_path / "k")


@pytest.fixture
def wg_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wg-quick and an agetty that only write down what they were told: interfaces need another kernel's leave."""
    log = tmp_path / "told"
    log.touch()
    for program in ("wg-quick", "agetty"):
        file = tmp_path / "bin" / program
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\necho {program} "$@" >>{log}\n')
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return log


@pytest.fixture
def bundle(laptop: Laptop, tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for_machine(folder, laptop.repository, "kerminy-1")
    return folder


def test_a_bundle_of_one_machine_pins_it_and_fills_its_repository(laptop: Laptop, bundle: Path, host: Host) -> None:
    trust = carried.take(host, bundle)
    trusted = TrustStore(host)
    assert trust == laptop.copy.trust == trusted.trust()
    assert trusted.complete()
    assert trusted.repo.get("refs/heads/main") == laptop.copy.head
    assert host.disk.read("/etc/hentou/machine") == b"kerminy-1\n"
    assert host.disk.stat(WAITING)
    host.disk.remove(WAITING)
    assert carried.take(host, bundle) == trust
    assert not host.disk.stat(WAITING)
    assert "refs/hentou/carried" not in told(laptop.repository, "for-each-ref")


def test_another_repository_on_the_stick_is_not_believed(
    laptop: Laptop, bundle: Path, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Laptop(tmp_path / "other")
    other.publish()
    (tmp_path / "forged").mkdir()
    for_machine(tmp_path / "forged", other.repository, "kerminy-1")
    (bundle / "repository.bundle").write_bytes((tmp_path / "forged/repository.bundle").read_bytes())
    with pytest.raises(HentouError, match="does not hold what its"):
        carried.take(host, bundle)
    assert not TrustStore(host).complete()
    assert TrustStore(host).repo.get("refs/heads/main") == ""


def test_what_was_not_published_makes_no_bundle(laptop: Laptop, tmp_path: Path) -> None:
    with pytest.raises(HentouError, match="no machine is called"):
        for_machine(tmp_path, laptop.repository, "kermini-1")
    (tmp_path / "new").mkdir()
    fresh = Laptop(tmp_path / "new")
    with pytest.raises(HentouError, match="nothing of this collective was published yet"):
        for_machine(tmp_path, fresh.repository, "kerminy-1")


def test_a_general_bundle_is_nobodys(bundle: Path, host: Host) -> None:
    general(bundle)
    assert list(bundle.iterdir()) == []
    assert carried.take(host, bundle) is None


SIGHT = Sight("kerminy-1", "k7tq-2m5c-wz3a-pd6h", "SHA256:abc+/<", ("192.168.1.63", "2001:db8::5"))


def test_screens_speak_french_and_english() -> None:
    assert SIGHT.text.count("k7tq-2m5c-wz3a-pd6h") == 1
    assert "Lisez ce code à votre administrateur" in SIGHT.text
    assert "Read this code to your administrator" in SIGHT.text
    assert "http://192.168.1.63:8425/\n  http://[2001:db8::5]:8425/" in SIGHT.text
    assert "le câble est-il branché" in Sight("kerminy-1", "a", "b", ()).text
    page = SIGHT.page.decode()
    assert "hentou enrol kerminy-1 http://192.168.1.63:8425/ --code k7tq-2m5c-wz3a-pd6h" in page
    assert "SHA256:abc+/&lt;" in page


def test_addresses_are_those_of_the_network(tmp_path: Path, wg_quick: Path) -> None:
    program = tmp_path / "bin/ip"
    links = [
        {},
        {"ifname": "enp1s0", "addr_info": [{"local": "2001:db8::5"}, {}, {"local": "192.168.1.63"}]},
        {"ifname": "hentou-boot", "addr_info": [{"local": "fd44::1"}]},
    ]
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(links)}\nEND\n")
    program.chmod(0o755)
    assert addresses() == ("192.168.1.63", "2001:db8::5")
    program.write_text("#!/bin/sh\nexit 1\n")
    assert addresses() == ()


def test_it_is_shown_on_screens_and_on_the_page(host: Host, wg_quick: Path, tmp_path: Path) -> None:
    said = machine_at(tmp_path / "k", "kerminy-1")
    (tmp_path / "k/dev").mkdir()
    (tmp_path / "k/dev/tty1").touch()
    shown = Welcome(host, said)
    shown.show(())
    shown.show(("192.168.1.63",))
    shown.show(("192.168.1.63",))
    assert wg_quick.read_text() == "agetty --reload\n" * 2
    assert said["code"] in host.disk.read(ISSUE).decode()
    assert said["code"] in (tmp_path / "k/dev/tty1").read_text()
    folder = tmp_path / "k" / str(FOLDER).lstrip("/")
    found = pages(folder)
    assert json.loads(found[JSON]) == said
    private = [f for f in (tmp_path / "k/var/lib/hentou/keys").iterdir() if f.suffix != ".pub"]
    lines = [line for file in private for line in file.read_text().splitlines() if "-----" not in line]
    assert not any(line.encode() in data for line in lines for data in found.values())
    shown.hide()
    assert pages(folder) == {}
    assert not host.disk.stat(ISSUE)


def test_the_page_answers_little_and_to_few(tmp_path: Path) -> None:
    from threading import Thread

    page = Page(lambda: {"text/html": b"<p>look", JSON: b'{"machine":"a"}'}, 0, "127.0.0.1")
    thread = Thread(target=page.serve)
    thread.start()
    url = f"http://127.0.0.1:{page.port}"

    def curl(*words: str) -> str:
        return run(["curl", "-s", "--max-time", "5", *words], check=False).stdout

    assert curl(f"{url}/") == "<p>look"
    assert ask(f"{url}/") == {"machine": "a"}
    status = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert curl(*status, f"{url}/../../etc/passwd", "--path-as-is") == "404"
    assert curl(*status, "-X", "POST", "-d", "x", f"{url}/") == "501"
    assert curl(*status, "-I", f"{url}/") == "200"
    assert curl(*status, "-H", f"X: {'y' * 70_000}", f"{url}/") == "431"
    assert "Content-Security-Policy: default-src 'none'" in curl("-i", f"{url}/")
    page.close()
    thread.join()


Calls = list[str]


def called_by(activated: Calls, host: Host, *, status: int = 0) -> Callable[[str], Done]:
    def activate(head: str) -> Done:
        activated.append(head)
        if not status:
            host.store.save(State(current="generation", commit=head))
        return Done(status, "said why")

    return activate


def test_a_machine_behind_a_box_comes_in_once_its_keys_are_published(
    laptop: Laptop, bundle: Path, host: Host, wg_quick: Path, tmp_path: Path
) -> None:
    carried.take(host, bundle)
    said = machine_at(tmp_path / "k", "kerminy-1")
    asked: list[dict[str, str]] = []
    activated: Calls = []

    def ask(machine: Host) -> None:
        """Two calls that nobody answers, then the gateway knows this machine."""
        asked.extend(json.loads(host.disk.read("/run/hentou/bootstrap.json"))["peers"])
        if len(asked) == 2:
            laptop.enrol("kerminy-1", said)
            laptop.publish()
            laptop.push(machine)

    welcome(host, Bootstrap(host, said, ask, called_by(activated, host)), said)
    collective = laptop.copy.collective()
    vps = collective.machines["vps-1"]
    assert asked == [{"name": "vps-1", "address": str(collective.mesh_address(vps))}] * 2
    assert activated == [laptop.copy.head]
    assert is_enrolled(host, said)
    file = tmp_path / "k/run/hentou-welcome/hentou-boot.conf"
    words = [line for line in wg_quick.read_text().splitlines() if line.startswith("wg-quick")]
    assert words == [f"wg-quick up {file}", f"wg-quick down {file}"]
    text = file.read_text()
    assert f"Address = {collective.mesh_address(collective.machines['kerminy-1'])}/128" in text
    assert f"PublicKey = {collective.keys['vps-1'].wireguard}" in text
    assert "Endpoint = 203.0.113.10:51820" in text
    assert "PrivateKey" not in text
    assert not host.disk.stat(WAITING)
    assert not host.disk.stat(ISSUE)
    assert not host.disk.stat("/run/hentou/bootstrap.json")


def test_an_activation_that_fails_leaves_it_calling(
    laptop: Laptop, bundle: Path, host: Host, wg_quick: Path, tmp_path: Path
) -> None:
    carried.take(host, bundle)
    said = machine_at(tmp_path / "k", "kerminy-1")
    laptop.enrol("kerminy-1", said)
    laptop.publish()
    laptop.push(host)
    activated: Calls = []
    asked: Calls = []
    home = Bootstrap(host, said, lambda _: asked.append("asked"), called_by(activated, host, status=3))
    home.turn()
    assert (len(activated), len(asked)) == (1, 0)
    home.turn()
    assert (len(activated), len(asked)) == (1, 1)
    (laptop.repository / "people/yuna.yaml").write_text("full_name: Yuna\n")
    run(["git", "-C", laptop.repository, "commit", "-qam", "Mended"], env={**os.environ, **_AUTHOR})
    laptop.publish()
    laptop.push(host)
    home.turn()
    assert activated[1] == laptop.copy.head
    home.down()


_AUTHOR = {
    "GIT_AUTHOR_NAME": "y", "GIT_AUTHOR_EMAIL": "y@x", "GIT_COMMITTER_NAME": "y", "GIT_COMMITTER_EMAIL": "y@x",
}  # fmt: skip


def test_whoever_comes_in_otherwise_is_not_hindered(
    laptop: Laptop, bundle: Path, host: Host, wg_quick: Path, tmp_path: Path
) -> None:
    carried.take(host, bundle)
    said = machine_at(tmp_path / "k", "kerminy-1")
    told_: list[str] = []
    host.tell = told_.append
    asked: Calls = []
    home = Bootstrap(host, said, lambda _: asked.append("asked"))
    home.turn()
    home.turn()
    assert asked == ["asked"] * 2
    (tmp_path / "k/sys/class/net/hentou").mkdir(parents=True)
    home.turn()
    assert asked == ["asked"] * 2
    assert "wg-quick down" in wg_quick.read_text()
    home.turn()
    assert wg_quick.read_text().count("wg-quick down") == 1


def test_an_interface_that_does_not_come_up_is_tried_again(
    laptop: Laptop, bundle: Path, host: Host, wg_quick: Path, tmp_path: Path
) -> None:
    carried.take(host, bundle)
    said = machine_at(tmp_path / "k", "kerminy-1")
    heard: list[str] = []
    host.tell = heard.append
    asked: Calls = []
    home = Bootstrap(host, said, lambda _: asked.append("asked"))
    program = tmp_path / "bin/wg-quick"
    works = program.read_text()
    program.write_text("#!/bin/sh\necho no tun device >&2\nexit 1\n")
    home.turn()
    home.turn()
    assert asked == []
    assert len(heard) == 1
    assert "no tun device" in heard[0]
    program.write_text(works)
    home.turn()
    assert asked == ["asked"]


def test_what_hinders_is_told_once(host: Host, laptop: Laptop, tmp_path: Path, wg_quick: Path) -> None:
    said = machine_at(tmp_path / "k", "kerminy-1")
    heard: list[str] = []
    host.tell = heard.append
    home = Bootstrap(host, said)
    home.turn()
    home.turn()
    assert heard == ["this machine was told of no collective: an admin brings it in with `hentou adopt`"]
    (tmp_path / "alone").mkdir()
    alone = Laptop(tmp_path / "alone")
    alone.publish()
    (tmp_path / "b").mkdir()
    for_machine(tmp_path / "b", alone.repository, "kerminy-1")
    carried.take(host, tmp_path / "b")
    home.turn()
    assert heard[-1] == "no gateway of the collective is enrolled: an admin pushes to this machine by SSH"
    assert home.pause == 5
    host.sleep(4000)
    assert home.pause == 30
