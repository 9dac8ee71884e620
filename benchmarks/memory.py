"""What the processes of a site's machine and of a gateway take: after every page was opened, and at rest."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from benchmarks.report import Section
from hentou import compose
from hentou.effects import clock
from hentou.effects.tree import DirectoryTree
from hentou.lab.bundle import build_bundle
from hentou.lab.deploy import deploy
from hentou.lab.lab import Lab, Machine
from hentou.lab.survey import survey

MACHINES = ("kerminy-1", "vps-1")
SMALLEST = 1.0
"""Megabytes below which programs are told together."""

REST, IDLE = 120, 300
"""Seconds until a collective that was just deployed has told everybody, and those that are measured."""

WIRE = 140
"""Bytes of one hint on the line: 80 with IPv6 and UDP, padded; WireGuard adds 32, UDP and IPv4 around it 28."""

_AGENT = "awk '/^Pss:/ {print $2}' /proc/$(systemctl show -p MainPID --value hentou-agent)/smaps_rollup"
_COUNTERS = """nft -f - <<'END'
table inet bench {
    chain received {
        type filter hook input priority -300
        udp dport 8422 counter comment "hints"
        udp sport 51820 counter comment "mesh"
        udp sport != 51820 udp dport 51820 counter comment "mesh"
    }
    chain sent {
        type filter hook output priority -300
        udp dport 8422 counter comment "hints"
        udp dport 51820 counter comment "mesh"
        udp dport != 51820 udp sport 51820 counter comment "mesh"
    }
}
END"""

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


def agent(work: Path) -> Section:
    """Boot the pilot, let it come to rest, and see what the resident agent takes while nothing happens."""
    section = Section(
        "The resident agent at rest",
        "Proportional set size of `hentou-agent`, and what an idle machine of the pilot sends and receives through its "
        f"line, counted by nftables for {IDLE} s and extrapolated to thirty days. Budgets: 30 MB of memory, 50 MB a "
        "month for a site.",
        ("", *MACHINES),
    )
    model = compose.load(DirectoryTree(Path("examples/pilot")))
    with Lab.up(model, bundle=build_bundle(work / "bundle"), name="bench") as lab:
        deploy(lab)
        clock.sleep(REST)
        machines = [lab.machine(name) for name in MACHINES]
        for machine in machines:
            machine.succeed(_COUNTERS)
        clock.sleep(IDLE)
        said = [machine.succeed("nft list table inet bench") for machine in machines]
        memory = [machine.succeed(_AGENT) for machine in machines]
    section.rows.append(("memory, MB", *(_mb(int(kilobytes)) for kilobytes in memory)))
    month = 30 * 86400 / IDLE / 1e6
    for name, label in (("hints", "hints, as WireGuard carries them, MB a month"), ("mesh", "all of WireGuard")):
        section.rows.append((label, *(f"{_bytes(text, name) * month:.0f}" for text in said)))
    section.notes.append("All of WireGuard is what keeps the tunnels open and found again, hints, and health checks.")
    section.notes.append("A gateway keeps a tunnel to every site: its part grows with them, a site's does not.")
    return section


def _bytes(ruleset: str, name: str) -> int:
    """Bytes that a set of counters saw; hints with what they are wrapped in on their way."""
    found = [tuple(map(int, pair)) for pair in re.findall(rf'packets (\d+) bytes (\d+) comment "{name}"', ruleset)]
    return sum(packets * WIRE for packets, _ in found) if name == "hints" else sum(size for _, size in found)


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
