"""Power cuts at every step of an activation: the old generation or the new one, whole, never a mix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from two_gateways import change, said

from hentou.lab.deploy import STILL, Admin
from hentou.lab.drills import Cut, PowerCuts
from hentou.lab.lab import Lab

SEED = 20270301


@pytest.fixture
def cuttable(boot: Callable[[Path], tuple[Lab, Admin]]) -> Iterator[tuple[Lab, Admin]]:
    """A pilot of its own: after the drill nobody else should use it."""
    lab, admin = boot(Path(__file__).parents[2] / "examples" / "pilot")
    admin.still()
    yield lab, admin
    lab.down()


def two_revisions(admin: Admin) -> tuple[str, str]:
    """The collective as it is, and with a page changed, one more, another greeting, and a service less."""
    before = admin.commit("As it is")
    for site in ("kerminy", "konkarlab"):
        page = admin.repository / "content" / site / "_index.md"
        page.write_text(page.read_text() + "\nUne ligne de plus.\n")
        (page.parent / "nouvelle.md").write_text("---\ntitle: Nouvelle\n---\nUne page de plus.\n")
    settings = admin.repository / "collective.yaml"
    settings.write_text(settings.read_text() + "features:\n  hello:\n    greeting: Demat\n")
    kerminy = admin.repository / "sites" / "kerminy.yaml"
    head, _, _ = kerminy.read_text().partition("  interne:\n")
    kerminy.write_text(head)
    after = admin.commit("Changes of every kind")
    admin.push()
    return before, after


def drill(lab: Lab, admin: Admin, count: int, seed: int) -> list[Cut]:
    before, after = two_revisions(admin)
    names = ("kerminy-1", "konkarlab-1")
    drills = [PowerCuts(lab.machine(name), (before, after), seed + index) for index, name in enumerate(names)]

    def one(one_drill: PowerCuts) -> list[Cut]:
        one_drill.prepare()
        return list(one_drill.cuts(count // len(names)))

    with ThreadPoolExecutor() as pool:
        return [cut for cuts in pool.map(one, drills) for cut in cuts]


def check(cuts: list[Cut], count: int) -> None:
    assert len(cuts) == count
    assert [cut for cut in cuts if cut.wrong] == []
    assert len({cut.current for cut in cuts}) > 2, "both old and new generations were seen on both machines"
    assert len({cut.before_step for cut in cuts}) > 15


@pytest.mark.lab
def test_fifty_power_cuts_never_leave_a_mix(cuttable: tuple[Lab, Admin]) -> None:
    check(drill(*cuttable, 50, SEED), 50)


@pytest.mark.campaign
def test_four_hundred_power_cuts_never_leave_a_mix(cuttable: tuple[Lab, Admin]) -> None:
    check(drill(*cuttable, 400, SEED + 100), 400)


@pytest.mark.lab
def test_power_cuts_of_a_sync_lose_no_step_and_take_none_twice(whole: tuple[Lab, Admin]) -> None:
    """Every third point between the inbox and the journal; tests/unit stops at every one, without the reboot."""
    lab, admin = whole
    machine = lab.machine("kerminy-1")
    admin.still([machine])
    cuts = 0
    for point in range(1, 60, 3):
        before = said(machine)["sequence"]
        head = change(admin, f"Coupure {point}")
        admin.put([machine])
        if machine.execute(f"hentou sync --inbox-only --stop-before {point}").status == 0:
            break
        cuts += 1
        machine.crash()
        machine.start()
        assert said(machine)["sequence"] in (before, before + 1)
        machine.succeed("hentou sync --inbox-only")
        assert (said(machine)["sequence"], said(machine)["commit"]) == (before + 1, head)
    assert cuts >= 3
    machine.succeed(f"rm {STILL} && systemctl daemon-reload && systemctl start hentou-agent")
