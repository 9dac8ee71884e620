"""People and machines come and go: a lost laptop, a stolen machine, a dead gateway; at most five commands each."""

from __future__ import annotations

import json

import pytest
from two_gateways import MACHINES, change, follows, said

from hentou.lab.bundle import source_root
from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab

pytestmark = pytest.mark.lab


def test_a_lost_laptop(whole: tuple[Lab, Admin]) -> None:
    """Yuna's laptop is gone: Erwan gives her a new key, Nolwenn agrees, and the old key counts no more."""
    lab, admin = whole
    new = admin.signers.public("yuna", "new")
    admin.hentou(lab.visitor, "roster rotate yuna -", person="erwan", stdin=new)
    told = admin.hentou(lab.visitor, "publish --yes --no-wait", person="erwan")
    assert "cosign" in told
    admin.hentou(lab.laptop("konkarlab"), "cosign --yes --no-wait", person="nolwenn")
    for name in MACHINES:
        follows(lab.machine(name), admin.accepted, 90)
        assert new.split()[1] in lab.machine(name).succeed("cat /etc/ssh/authorized_keys.d/yuna")
    head = change(admin, "Signé avec l'ancienne clé.")
    refused = admin.hentou(lab.visitor, "publish --yes --no-wait", person="yuna", fails=True)
    assert "roster" in refused
    admin.signers.adopt("yuna", "new")
    admin.hentou(lab.visitor, "publish --yes --no-wait", person="yuna")
    for name in MACHINES:
        follows(lab.machine(name), head, 90)


def test_a_secret_reaches_its_machines_alone(whole: tuple[Lab, Admin]) -> None:
    lab, admin = whole
    admin.hentou(lab.visitor, "secret set relay --machine kerminy-1 -", stdin="mot-de-passe-7241")
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    machine = lab.machine("kerminy-1")
    follows(machine, admin.accepted, 90)
    assert machine.succeed("cat /run/hentou/secrets/relay").strip() == "mot-de-passe-7241"
    assert machine.succeed("stat -c '%a %U' /run/hentou/secrets/relay").strip() == "400 root"
    machine.fail("grep -r -a -l mot-de-passe-7241 /etc /var /usr/lib/systemd /opt/hentou")
    machine.fail("journalctl --no-pager | grep mot-de-passe-7241")
    lab.machine("konkarlab-1").fail("test -e /run/hentou/secrets/relay")
    assert "mot-de-passe-7241" in admin.hentou(lab.visitor, "secret show relay")
    machine.crash()
    machine.start()
    machine.wait_until_succeeds("grep -q mot-de-passe-7241 /run/hentou/secrets/relay", 30)


def test_a_stolen_machine_is_struck_out(whole: tuple[Lab, Admin]) -> None:
    """One commit, and nobody speaks to it any more. Then another computer takes its place."""
    lab, admin = whole
    thief = lab.machine("konkarlab-1")
    address = admin.load().mesh_address(thief.spec)
    told = admin.hentou(lab.visitor, "strike konkarlab-1 --why 'stolen at the fair'")
    assert "publish" in told
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    others = [lab.machine(name) for name in MACHINES if name != "konkarlab-1"]
    for machine in others:
        follows(machine, admin.accepted, 90)
        machine.fail(f"wg show hentou allowed-ips | grep -q {address}")
    assert "stolen at the fair" in lab.machine("vps-1").succeed("git --git-dir /var/lib/hentou/repo.git log -1 main")
    # Another computer, under the old name. Its first console shows the code that the référent reads out.
    thief.replace(plain=True)
    thief.start()
    admin.bring_stick(thief)
    code = json.loads(thief.wait_until_succeeds("hentou identity --json 2>/dev/null"))["code"]
    page = f"http://{thief.computer.address}:8425/"
    lab.laptop("konkarlab").wait_until_succeeds(f"curl -fsS {page}", 30)
    admin.hentou(lab.laptop("konkarlab"), f"enrol konkarlab-1 {page} --code {code}")
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    follows(thief, admin.accepted, 180)
    rows = {row["machine"]: row for row in said(lab.machine("kerminy-1"))["collective"]}
    assert "konkarlab-1" in rows


def test_a_dead_gateway_is_replaced(whole: tuple[Lab, Admin]) -> None:
    """vps-2 is gone for good. A provider delivers another, plain Debian with root's key; three commands bring it in."""
    lab, admin = whole
    machine = lab.machine("vps-2")
    machine.replace(plain=True)
    machine.start()
    machine.copy_in(admin.signers.public("yuna").encode(), "/root/.ssh/authorized_keys", 0o600)
    machine.succeed("ssh-keygen -A && systemctl start ssh")
    key = machine.succeed("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    admin.hentou(lab.visitor, "strike vps-2 --why 'its disk died'")
    # The visitor's computer reaches no package registry: the bundle was made before.
    bundle = f"--bundle {source_root() / 'build' / 'bundle'}"
    admin.hentou(lab.visitor, f"adopt ssh://root@203.0.113.11 --as vps-2 --fingerprint {key} {bundle}", timeout=300)
    admin.hentou(lab.visitor, "publish --yes --no-wait", timeout=120)
    for name in MACHINES:
        follows(lab.machine(name), admin.accepted, 180)
    assert said(machine)["well"]


def test_a_site_holds_back_and_comes_back(whole: tuple[Lab, Admin]) -> None:
    lab, admin = whole
    kerminy = lab.machine("kerminy-1")
    admin.hentou(lab.visitor, "detach kerminy --why 'the fête is on Saturday'")
    before = said(kerminy)["commit"]
    head = change(admin, "Pas avant dimanche.")
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    follows(lab.machine("konkarlab-1"), head, 90)
    kerminy.wait_until_succeeds(f'hentou status --json 2>/dev/null | grep -q \'"head": "{head}"\'', 60)
    assert said(kerminy)["commit"] == before
    assert "fête" in json.dumps(said(lab.machine("vps-1"))["collective"], ensure_ascii=False)
    told = admin.hentou(lab.visitor, "attach kerminy --yes")
    assert "hentou-website" in told, "the difference is shown"
    follows(kerminy, head, 60)


def test_a_change_reaches_the_canary_first(whole: tuple[Lab, Admin]) -> None:
    """A change that fails at the canary never reaches the others; the next one does."""
    lab, admin = whole
    settings = admin.repository / "collective.yaml"
    without = settings.read_text()
    settings.write_text(without.replace("policies:\n", "policies:\n  canaries: [konkarlab]\n  soak: 3s\n"))
    admin.commit("Konkarlab goes first")
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    for name in MACHINES:
        follows(lab.machine(name), admin.accepted, 120)
    page = admin.repository / "content/konkarlab/_index.md"
    good = page.read_text()
    page.write_text(good + "\n{{< nothing-is-called-so >}}\n")
    failing = change(admin, "Avec une page qui ne se construit pas.")
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    canary, kerminy = lab.machine("konkarlab-1"), lab.machine("kerminy-1")
    canary.wait_until_succeeds("hentou status --json 2>/dev/null | grep -q nothing-is-called-so"
                               " || hentou status --json | grep -q hentou-website-konkarlab", 90)  # fmt: skip
    kerminy.wait_until_succeeds(f'hentou status --json 2>/dev/null | grep -q \'"head": "{failing}"\'', 60)
    assert said(kerminy)["commit"] != failing
    page.write_text(good)
    settings.write_text(without)
    fixed = admin.commit("The page is mended; all go together again")
    admin.hentou(lab.visitor, "publish --yes --no-wait")
    for name in MACHINES:
        follows(lab.machine(name), fixed, 120)
