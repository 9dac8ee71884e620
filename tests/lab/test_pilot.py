"""The pilot collective, booted once for all scenarios that do it no lasting harm."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hentou.effects.process import run
from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab, Machine
from hentou.lab.survey import VISITOR, survey

pytestmark = pytest.mark.lab

KERMINY = "https://kerminy.pilot.example/"
KONKARLAB = "https://konkarlab.pilot.example/"
INSIDE = "https://interne.kerminy.pilot.example/"
MACHINES = ("kerminy-1", "konkarlab-1", "vps-1")


def curl(admin: Admin, url: str, options: str = "") -> str:
    return f"curl --silent --show-error --fail --max-time 8 --cacert {admin.authority} {options} {url}"


def laptop_address(lab: Lab, site: str) -> str:
    return next(str(place.laptop.address.ip) for place in lab.topology.places if place.name == site)


def invocations(lab: Lab, machine: str) -> dict[str, str]:
    """Every service with the identity of its present run, which a restart changes; not those that a timer starts."""
    said = lab.machine(machine).succeed("systemctl show '*.service' --property=Id,InvocationID,TriggeredBy")
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in said.split("\n\n") if block.strip())
    return {block["Id"]: block["InvocationID"] for block in blocks if ".timer" not in block["TriggeredBy"]}


@pytest.fixture
def undisturbed(pilot: tuple[Lab, Admin]) -> Iterator[tuple[Lab, Admin]]:
    """The pilot, which after the test has all cables plugged, all machines up and everything green again."""
    lab, admin = pilot
    yield lab, admin
    lab.mend()
    bad = [sight for sight in survey(lab, admin.load(), admin.authority, 60) if not sight.good]
    assert not bad, bad


def test_every_url_opens_from_everywhere_its_audience_is(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    sights = survey(lab, admin.load(), admin.authority, 30)
    assert not [sight for sight in sights if not sight.good]
    seen = {(sight.look.place, sight.look.url) for sight in sights}
    assert {("kerminy", KERMINY), ("konkarlab", KERMINY), (VISITOR, KERMINY)} <= seen
    assert {("kerminy", INSIDE), ("konkarlab", INSIDE)} <= seen
    assert (VISITOR, INSIDE) not in seen


def test_what_is_inside_stays_inside(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    lab.visitor.fail(curl(admin, INSIDE))
    gateway = "--resolve interne.kerminy.pilot.example:443:203.0.113.10"
    lab.visitor.fail(curl(admin, INSIDE, gateway))


def test_the_page_sees_the_visitor_and_the_gateway_sees_nothing(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    with lab.capture("vps-1") as capture:
        page = lab.visitor.succeed(curl(admin, f"{KERMINY}?jeton=visiteur-7391"))
    assert "Kerminy" in page
    packets = capture.data
    assert b"kerminy.pilot.example" in packets, "the capture saw the name in the clear, as TLS sends it"
    for secret in (b"visiteur-7391", b"<html", b"<title"):
        assert secret not in packets
    address = lab.topology.visitor
    logged = "journalctl --unit nginx --grep visiteur-7391 --output cat --no-pager"
    assert str(address) in lab.machine("kerminy-1").wait_until_succeeds(logged, 10)
    lab.laptop("kerminy").succeed(curl(admin, f"{KERMINY}?jeton=voisine-1840"))
    logged = "journalctl --unit nginx --grep voisine-1840 --output cat --no-pager"
    assert laptop_address(lab, "kerminy") in lab.machine("kerminy-1").wait_until_succeeds(logged, 10)


def test_internet_cut_at_kerminy(undisturbed: tuple[Lab, Admin]) -> None:
    lab, admin = undisturbed
    lab.cut("kerminy/adsl")
    lab.cut("kerminy/mobile")
    assert "Kerminy" in lab.laptop("kerminy").succeed(curl(admin, KERMINY))
    assert "html" in lab.laptop("kerminy").succeed(curl(admin, INSIDE))
    lab.visitor.fail(curl(admin, KERMINY))
    assert "Konkarlab" in lab.visitor.succeed(curl(admin, KONKARLAB))


def test_gateway_off(undisturbed: tuple[Lab, Admin]) -> None:
    lab, admin = undisturbed
    lab.machine("vps-1").crash()
    assert "Kerminy" in lab.laptop("kerminy").succeed(curl(admin, KERMINY))
    assert "Konkarlab" in lab.laptop("konkarlab").succeed(curl(admin, KONKARLAB))
    # A machine that restarts alone, without its gateway, serves its people too.
    lab.machine("kerminy-1").crash()
    lab.machine("kerminy-1").start()
    assert "Kerminy" in lab.laptop("kerminy").wait_until_succeeds(curl(admin, KERMINY), 60)
    assert lab.machine("kerminy-1").execute("hentou converge")[0] == 0, "the loss of the gateway undoes nothing"


def test_one_line_of_content(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    before = {name: invocations(lab, name) for name in MACHINES}
    page = admin.repository / "content" / "kerminy" / "_index.md"
    page.write_text(page.read_text() + "\nLe four à pain est réparé.\n")
    admin.commit("Kerminy: the oven is repaired")
    admin.push()
    said = json.loads(lab.machine("kerminy-1").succeed("hentou converge --json 2>/dev/null"))
    assert [step["kind"] for step in said["steps"]] == ["write", "restart"], said["steps"]
    for name in ("konkarlab-1", "vps-1"):
        assert json.loads(lab.machine(name).succeed("hentou converge --json 2>/dev/null"))["steps"] == []
    assert "Le four à pain est réparé." in lab.visitor.succeed(curl(admin, KERMINY))
    touched = {
        (name, unit)
        for name in MACHINES
        for unit, run in invocations(lab, name).items()
        if run != before[name].get(unit) and before[name].get(unit)
    }
    ours = {(name, unit) for name, unit in touched if not unit.startswith(("systemd-", "user", "session"))}
    assert ours == {("kerminy-1", "hentou-website-kerminy-site.service")}


def test_nothing_to_do_touches_nothing(pilot: tuple[Lab, Admin]) -> None:
    lab, _ = pilot
    machine = lab.machine("konkarlab-1")
    machine.succeed("hentou converge")
    look = "find /etc /usr /var/lib/hentou -xdev -newercm /run/mark -not -name '*.pyc' -not -name __pycache__"
    machine.succeed("touch /run/mark; sleep 0.05")
    before = invocations(lab, "konkarlab-1")
    machine.succeed("hentou converge")
    assert machine.succeed(look).split() == []
    assert invocations(lab, "konkarlab-1") == before


@contextmanager
def undone(admin: Admin, machine: Machine, change: str, within: float) -> Iterator[dict[str, Any]]:
    """What `status` says after the working copy's change was tried and undone, in so many seconds at most.

    When the block ends, the working copy is put back and the machine follows it.
    """
    admin.commit(change)
    admin.push([machine])
    begin = time.monotonic()
    status, said = machine.execute("hentou converge", timeout=120)
    took = time.monotonic() - begin
    try:
        assert status == 3, said
        assert took <= within
        yield json.loads(machine.succeed("hentou status --json 2>/dev/null"))
    finally:
        run(["git", "-C", admin.repository, "rm", "-r", "-q", "-f", "--ignore-unmatch", "overrides"])
        run(["git", "-C", admin.repository, "checkout", "HEAD~1", "--", "."])
        admin.commit(f"Back: {change}")
        admin.push([machine])
        machine.succeed("hentou converge")


def test_an_unhealthy_generation_is_undone(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    machine = lab.machine("konkarlab-1")
    page = admin.repository / "content" / "konkarlab" / "_index.md"
    served = lab.laptop("konkarlab").succeed(curl(admin, KONKARLAB))
    current = json.loads(machine.succeed("hentou status --json 2>/dev/null"))["current"]
    page.write_text(page.read_text() + "\n{{< nothing-is-called-so >}}\n")
    with undone(admin, machine, "Konkarlab: a page that cannot be built", 30) as told:
        assert lab.laptop("konkarlab").succeed(curl(admin, KONKARLAB)) == served
        assert told["current"] == current
        assert "hentou-website-konkarlab-site" in json.dumps(told["last_failure"])
        assert machine.execute("hentou converge")[0] == 5, "quarantined: the same generation is not tried again"
        assert "nothing-is-called-so" in machine.succeed("journalctl -u hentou-website-konkarlab-site --no-pager")


def test_a_generation_that_loses_the_mesh_is_undone(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    machine = lab.machine("konkarlab-1")
    wrong = admin.repository / "overrides" / "konkarlab-1" / "etc" / "wireguard" / "hentou.conf"
    wrong.parent.mkdir(parents=True)
    # A wrong endpoint would heal by itself when the gateway speaks first; a wrong key does not.
    right = machine.succeed("cat /etc/wireguard/hentou.conf")
    wrong.write_text(re.sub("PublicKey = .*", f"PublicKey = {'A' * 43}=", right))
    with undone(admin, machine, "Konkarlab: the key of a gateway that is not there", 45) as told:
        assert "peer" in " ".join(told["last_failure"]["reasons"])
        machine.wait_until_succeeds("ping -c 1 -W 2 vps-1.vps.pilot.example", 40)


def test_a_hand_edit_holds_and_is_resolved(pilot: tuple[Lab, Admin]) -> None:
    lab, admin = pilot
    machine = lab.machine("kerminy-1")
    machine.succeed("echo 'à la main' >>/etc/hentou/hello.txt")
    settings = admin.repository / "collective.yaml"
    good = settings.read_text()
    settings.write_text(good + "features:\n  hello:\n    greeting: Degemer mat\n")
    admin.commit("Greet in Breton")
    admin.push()
    try:
        status, said = machine.execute("hentou converge")
        assert status == 4, said
        assert "+à la main" in said
        assert "hentou adopt" in said
        assert "Degemer mat" not in machine.succeed("cat /etc/hentou/hello.txt")
        patch = machine.succeed("hentou adopt /etc/hentou/hello.txt")
        assert "overrides/kerminy-1/etc/hentou/hello.txt" in patch
        machine.succeed("hentou converge")
        assert "à la main" in machine.succeed("cat /etc/hentou/hello.txt"), "an adopted edit is kept"
        machine.succeed("hentou overwrite /etc/hentou/hello.txt")
        machine.succeed("hentou converge")
        assert machine.succeed("cat /etc/hentou/hello.txt").startswith("Degemer mat")
        assert "à la main" in machine.succeed("cat $(find /var/lib/hentou/overwritten -name 'hello.txt*')")
    finally:
        settings.write_text(good)
        admin.commit("Greet as before")
        admin.push()
        admin.converge()


def test_rollback(pilot: tuple[Lab, Admin]) -> None:
    lab, _ = pilot
    machine = lab.machine("kerminy-1")
    before = json.loads(machine.succeed("hentou status --json 2>/dev/null"))
    machine.succeed("hentou rollback")
    after = json.loads(machine.succeed("hentou status --json 2>/dev/null"))
    assert after["current"] == before["previous"]
    status, said = machine.execute("hentou converge")
    assert (status, "hentou converge --retry" in said) == (5, True), said
    machine.succeed("hentou converge --retry")
    assert json.loads(machine.succeed("hentou status --json 2>/dev/null"))["current"] == before["current"]


def test_an_external_machine_is_reached_and_left_alone(pilot: tuple[Lab, Admin]) -> None:
    lab, _ = pilot
    url = "https://yuno.konkarlab.pilot.example/"
    lab.visitor.succeed(f"curl --silent --fail --insecure --max-time 8 {url}")
    names = lab.machine("yunohost").succeed("find / -xdev -name '*hentou*' -not -path '/etc/hentou-lab*'").split()
    joined = ("/etc/wireguard/hentou.", "/etc/systemd/system/")
    image = ("/usr/lib/systemd/",)
    assert [path for path in names if not path.startswith((*joined, *image))] == []


def test_root_and_passwords_do_not_log_in(pilot: tuple[Lab, Admin]) -> None:
    lab, _ = pilot
    effective = lab.machine("kerminy-1").succeed("sshd -T")
    assert "permitrootlogin no" in effective
    assert "passwordauthentication no" in effective
    assert "kbdinteractiveauthentication no" in effective
    assert "ssh-ed25519" in lab.machine("kerminy-1").succeed("cat /etc/ssh/authorized_keys.d/yuna")
    lab.machine("kerminy-1").succeed("su - yuna --command 'sudo --non-interactive true'")
