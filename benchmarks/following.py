"""How soon a push is active everywhere, and how long a site takes that was cut off for a month of changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.report import Section
from hentou import compose
from hentou.effects import clock
from hentou.effects.tree import DirectoryTree
from hentou.lab.bundle import build_bundle
from hentou.lab.deploy import Admin, deploy
from hentou.lab.lab import Lab, Machine

PILOT = Path(__file__).parents[1] / "examples" / "pilot"
PUSHES = 5
MONTH = 500
"""Changes, each with a statement of its own."""

_PATIENCE = 120.0


def measure(work: Path) -> Section:
    """Publish to the gateway alone, several times; then let one site miss a month."""
    section = Section(
        "Following",
        "The pilot in the lab, with its resident agents. A page changes; it is published to the gateway alone, and the "
        "sites hear of it by hints. Times count from when the gateway accepted it. Budget: active everywhere "
        "in 5 s and what its restarts take. Then Kerminy's lines are cut while "
        f"{MONTH} changes are published, and mended. Budget: 30 s.",
        ("what", "vps-1", "konkarlab-1", "kerminy-1"),
    )
    bundle = build_bundle(work / "bundle")
    with Lab.up(compose.load(DirectoryTree(PILOT)), bundle=bundle, name="bench", deploy=deploy) as lab:
        admin = Admin(lab)
        clock.sleep(20)  # the first journals go round
        found = [_push(lab, admin, number) for number in range(PUSHES)]
        for what in ("accepted", "active"):
            cells = [_seconds([one[name][what] for one in found]) for name in ("vps-1", "konkarlab-1", "kerminy-1")]
            section.rows.append((f"{what}, median and worst of {PUSHES}", *cells))
        took, worked = _month(lab, admin)
        section.rows.append((f"{MONTH} steps later: active after mending", "-", "-", f"{took:.1f} s"))
        section.rows.append(("processor time of that", "-", "-", f"{worked:.1f} s"))
    section.notes.append("An active page includes its build by Hugo, its restart, and one second of settling in.")
    section.notes.append("All machines of the lab share the processors of this computer.")
    return section


def _seconds(found: list[float]) -> str:
    return f"{median(found):.1f} s, {max(found):.1f} s"


def _change(admin: Admin, text: str) -> str:
    page = admin.repository / "content" / "kerminy" / "_index.md"
    page.write_text(f"{page.read_text()}\n{text}\n")
    return admin.commit(text)


def _push(lab: Lab, admin: Admin, number: int) -> dict[str, dict[str, float]]:
    head = _change(admin, f"Mesure {number}")
    machines = [lab.machine(name) for name in ("vps-1", "konkarlab-1", "kerminy-1")]
    files = {"accepted": ("trust.json", "head"), "active": ("state.json", "commit")}
    waiting = {(machine.spec.name, what) for machine in machines for what in files}
    admin.hentou(lab.visitor, "publish --yes --only vps-1 --no-wait >/dev/null 2>&1 &")
    found: dict[str, dict[str, float]] = {machine.spec.name: {} for machine in machines}
    begin = deadline = 0.0
    while waiting:
        for machine in machines:
            for what, (file, key) in files.items():
                if (machine.spec.name, what) in waiting and _said(machine, file, key) == head:
                    begin = begin or clock.monotonic()
                    deadline = deadline or begin + _PATIENCE
                    found[machine.spec.name][what] = clock.monotonic() - begin
                    waiting.remove((machine.spec.name, what))
        if deadline and clock.monotonic() > deadline:
            raise RuntimeError(f"never: {sorted(waiting)}")
        clock.sleep(0.02)
    clock.sleep(8)  # the journals go round
    return found


def _said(machine: Machine, file: str, key: str) -> str:
    """What a file of the machine's says, read from its disk: asking the machine would cost it time."""
    data = json.loads((machine.root / "var/lib/hentou" / file).read_bytes())
    return str(data.get(key, ""))


def _month(lab: Lab, admin: Admin) -> tuple[float, float]:
    kerminy = lab.machine("kerminy-1")
    lab.cut("kerminy")
    head = ""
    for number in range(MONTH):
        head = _change(admin, f"Jour {number}")
        admin.sign()
    admin.push([lab.machine("vps-1")])
    _until(lambda: _said(lab.machine("konkarlab-1"), "trust.json", "head") == head)
    clock.sleep(10)
    before = _processor(kerminy)
    begin = clock.monotonic()
    lab.heal("kerminy")
    _until(lambda: _said(kerminy, "state.json", "commit") == head)
    return clock.monotonic() - begin, _processor(kerminy) - before


def _until(true: Callable[[], bool]) -> None:
    deadline = clock.monotonic() + _PATIENCE * 3
    while not true():
        if clock.monotonic() > deadline:
            raise RuntimeError("it never came to that")
        clock.sleep(0.02)


def _processor(machine: Machine) -> float:
    """Seconds of processor time that the agent's processes used so far."""
    said = machine.succeed("systemctl show hentou-agent --property=CPUUsageNSec --value").strip()
    return int(said) / 1e9 if said.isdigit() else 0.0
