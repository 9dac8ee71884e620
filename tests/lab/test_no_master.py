"""No master: signed intent reaches everyone over any path, facts come back, and nobody and no machine is indispensable.

One collective for all of it, with two gateways and three admins: one person signs a change, two a change of the roster.
Its machines run the resident agent, so that nobody tells them to converge.
"""

from __future__ import annotations

import json

import pytest
from two_gateways import MACHINES, change, follows, said

from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab

pytestmark = pytest.mark.lab


def test_a_push_to_one_gateway_reaches_everyone(whole: tuple[Lab, Admin]) -> None:
    lab, admin = whole
    head = change(admin, "Le pain est prêt.")
    told = admin.hentou(lab.visitor, "publish --yes --only vps-1 --no-wait")
    assert "vps-1" in told
    for name in MACHINES:
        follows(lab.machine(name), head, 60)
    page = f"curl -fsS --cacert {admin.authority} https://kerminy.pilot.example/"
    assert "Le pain est prêt." in lab.visitor.succeed(page)


def test_the_gateway_is_dead_and_a_push_to_a_site_reaches_the_others(whole: tuple[Lab, Admin]) -> None:
    lab, admin = whole
    lab.machine("vps-1").crash()
    head = change(admin, "Sans la passerelle.")
    admin.hentou(lab.laptop("konkarlab"), "publish --yes --only konkarlab-1 --no-wait")
    for name in ("konkarlab-1", "kerminy-1", "vps-2"):
        follows(lab.machine(name), head, 90)
    lab.machine("vps-1").start()
    follows(lab.machine("vps-1"), head, 90)


def test_sites_cut_from_each_other_go_on_and_converge_when_healed(whole: tuple[Lab, Admin]) -> None:
    lab, admin = whole
    before = said(lab.machine("kerminy-1"))["commit"]
    lab.cut("kerminy")
    head = change(admin, "Pendant la coupure.", "konkarlab")
    admin.hentou(lab.visitor, "publish --yes --only vps-2 --no-wait")
    follows(lab.machine("konkarlab-1"), head, 60)
    assert said(lab.machine("kerminy-1"))["commit"] == before
    page = f"curl -fsS --max-time 8 --cacert {admin.authority} https://kerminy.pilot.example/"
    lab.laptop("kerminy").succeed(page)
    lab.machine("kerminy-1").succeed("hentou log kerminy-1 'the line is cut, says the neighbour'")
    lab.heal("kerminy")
    follows(lab.machine("kerminy-1"), head, 90)
    heard = "hentou log kerminy-1 | grep -q 'the line is cut'"
    lab.machine("konkarlab-1").wait_until_succeeds(heard, 60)


def test_every_machine_and_every_laptop_tells_of_all(whole: tuple[Lab, Admin]) -> None:
    lab, admin = whole
    for name in MACHINES:
        rows = {row["machine"]: row for row in said(lab.machine(name))["collective"]}
        assert set(rows) >= set(MACHINES), name
    told = json.loads(admin.hentou(lab.laptop("konkarlab"), "status --json 2>/dev/null"))
    assert {row["machine"] for row in told["collective"]} >= set(MACHINES)
