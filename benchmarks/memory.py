"""What the processes of a site's machine and of a gateway take, after every page was opened from everywhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.report import Section
from hentou import compose
from hentou.effects.tree import DirectoryTree
from hentou.lab.bundle import build_bundle
from hentou.lab.deploy import deploy
from hentou.lab.lab import Lab, Machine
from hentou.lab.survey import survey

MACHINES = ("kerminy-1", "vps-1")
SMALLEST = 1.0
"""Megabytes below which programs are told together."""

_PSS = r"""for p in /proc/[0-9]*; do
  pss=$(awk '/^Pss:/ {print $2}' $p/smaps_rollup 2>/dev/null) && echo "$(cat $p/comm) ${pss:-0}"
done"""


def measure(work: Path) -> Section:
    """Boot the pilot, open everything, and add up what each program shares and holds."""
    section = Section(
        "Memory of a machine",
        "Proportional set size (proc_pid_smaps(5)) of each program on two machines of the pilot, in MB. "
        "Budget for a whole site with logins, files, agenda, wiki and backups, most of which is still to come: 1 GB.",
        ("program", *MACHINES),
    )
    model = compose.load(DirectoryTree(Path("examples/pilot")))
    with Lab.up(model, bundle=build_bundle(work / "bundle"), name="bench") as lab:
        admin = deploy(lab)
        survey(lab, admin.load(), admin.authority, 60)
        found = {name: _programs(lab.machine(name)) for name in MACHINES}
    names = sorted({name for programs in found.values() for name in programs}, key=lambda n: -_most(found, n))
    large = [name for name in names if _most(found, name) >= SMALLEST]
    section.rows += [(name, *(_mb(found[machine][name]) for machine in MACHINES)) for name in large]
    rest = {machine: sum(found[machine][name] for name in names if name not in large) for machine in MACHINES}
    section.rows.append(("all others", *(_mb(rest[machine]) for machine in MACHINES)))
    section.rows.append(("**together**", *(f"**{_mb(sum(found[machine].values()))}**" for machine in MACHINES)))
    section.notes.append(
        "Libraries are shared with the lab's other machines too, and "
        "counted in parts: a machine alone takes somewhat more."
    )
    section.notes.append("wireguard-go stands in where the kernel has no WireGuard, as here; with it, it is gone.")
    return section


def _programs(machine: Machine) -> Counter[str]:
    programs: Counter[str] = Counter()
    for line in machine.succeed(_PSS).splitlines():
        name, _, kilobytes = line.rpartition(" ")
        programs[name] += int(kilobytes)
    for ours in ("sh", "awk", "cat", "timeout"):
        del programs[ours]
    return programs


def _most(found: dict[str, Counter[str]], name: str) -> float:
    return max(programs[name] for programs in found.values()) / 1024


def _mb(kilobytes: int) -> str:
    return f"{kilobytes / 1024:.1f}" if kilobytes else ""
