"""Converge with nothing to do: hentou, pyinfra and ansible-core on the same items of the same machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks import collective
from benchmarks.report import Section
from hentou import compose
from hentou.effects.tree import DirectoryTree
from hentou.generation.generation import Manifest
from hentou.lab.bundle import build_bundle, fetch_wheels
from hentou.lab.deploy import deploy
from hentou.lab.lab import Lab, Machine

ITEMS = 1000
MACHINE = "box-0"
_TIME = "/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 python3 /root/timed.py"

# GNU time is not in a minimal Debian; the peak is that of the largest process, the tool's own.
_TIMED = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
seconds = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024,
                  "status": done.returncode, "said": (done.stdout + done.stderr)[-4000:]}))
"""

TOOLS = (
    ("hentou", "hentou converge", r"(\d+) step"),
    ("pyinfra", "/root/peers/bin/pyinfra @local --yes /root/deploy.py", r"changed: (\d+)"),
    ("ansible-core", "/root/peers/bin/ansible-playbook /root/play.yaml", r"changed=(\d+)"),
)
PATIENCE = 300.0
"""Seconds after which a tool is not run a second time."""

LIMIT = 5400.0
"""Seconds that one run of a tool may take."""

_PYINFRA = """
import json
from pyinfra.operations import apt, files, systemd
manifest = json.load(open("/root/items.json"))
apt.packages(packages=manifest["packages"])
for d in manifest["directories"]:
    files.directory(path=d["path"], mode=f"{d['mode']:o}", user=d["owner"], group=d["group"])
for e in manifest["entries"]:
    if e["target"]:
        files.link(path=e["path"], target=e["target"])
    else:
        files.put(src=f"/root/items/{e['digest']}", dest=e["path"], mode=f"{e['mode']:o}",
                  user=e["owner"], group=e["group"])
for u in manifest["units"]:
    systemd.service(service=u["name"], running=True)
"""

_ANSIBLE = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {manifest: "{{ lookup('file', '/root/items.json') | from_json }}"}
  tasks:
    - apt: {name: "{{ manifest.packages }}"}
    - file:
        path: "{{ item.path }}"
        state: directory
        mode: "{{ item.octal }}"
        owner: "{{ item.owner }}"
        group: "{{ item.group }}"
      loop: "{{ manifest.directories }}"
    - copy:
        src: "/root/items/{{ item.digest }}"
        dest: "{{ item.path }}"
        mode: "{{ item.octal }}"
        owner: "{{ item.owner }}"
        group: "{{ item.group }}"
      loop: "{{ manifest.entries | selectattr('target', 'equalto', '') }}"
    - file: {path: "{{ item.path }}", src: "{{ item.target }}", state: link, force: true}
      loop: "{{ manifest.entries | rejectattr('target', 'equalto', '') }}"
    - systemd_service: {name: "{{ item.name }}", state: started}
      loop: "{{ manifest.units }}"
"""


def measure(work: Path) -> Section:
    """Boot one machine with a thousand items, then let each tool find that there is nothing to do."""
    repository = work / "collective"
    _thousand(repository)
    wheels = _peers(work)
    bundle = build_bundle(work / "bundle")
    model = compose.load(DirectoryTree(repository))
    with Lab.up(model, deploy=deploy, bundle=bundle, name="bench") as lab:
        machine = lab.machine(MACHINE)
        items = _deliver(machine, wheels)
        section = Section(
            "Converge with nothing to do",
            f"The same {items} items (files, links, directories, packages, running units) of one booted Debian 13 "
            "machine, all as they should be: what does it cost to find that out? Budget: 1 s, nothing written.",
            ("tool", "time", "processor time", "peak memory", "changed"),
        )
        for name, command, changed in TOOLS:
            print(f"  {name} …", flush=True)
            section.rows.append(_measure(machine, name, command, changed))
        versions = machine.succeed("/root/peers/bin/pip freeze --disable-pip-version-check").split()
        peers = [line for line in versions if line.startswith(("ansible-core=", "pyinfra="))]
        section.notes.append(f"Peers: {', '.join(peers)}, each with a local connection and no gathering of facts.")
        section.notes.append(
            "The number of changes is what each tool says of the run that is shown; all three ran on the machine as "
            "hentou had left it, and ansible-core found one item that it would have otherwise."
        )
        section.notes.append("hentou also compiles the whole collective from Git in each run; the others do not.")
    return section


def _thousand(repository: Path) -> None:
    """A collective whose one site machine has exactly ITEMS items, by as many pages as that takes."""
    collective.write(repository, 1)
    pages = repository / "content" / "site-0" / "pages"
    pages.mkdir()
    model = compose.load(DirectoryTree(repository))
    missing = ITEMS - _count(compose.compiler(model).generation(model.machines[MACHINE]).manifest)
    for number in range(missing):
        (pages / f"{number}.md").write_text(f"---\ntitle: Page {number}\n---\nTexte de la page {number}.\n")


def _count(manifest: Manifest) -> int:
    return sum(map(len, (manifest.packages, manifest.directories, manifest.entries, manifest.units)))


def _peers(work: Path) -> Path:
    """Wheels of the tools to compare with, for the machine's Python."""
    wheels = work / "peers"
    if not wheels.exists():
        fetch_wheels(Path(__file__).parent / "requirements.txt", wheels)
    return wheels


def _deliver(machine: Machine, wheels: Path) -> int:
    """Put the peers and their description of the same items on the machine; the number of items."""
    for wheel in wheels.glob("*.whl"):
        machine.copy_in(wheel, f"/root/wheels/{wheel.name}")
    machine.succeed("python3 -m venv /root/peers")
    install = "/root/peers/bin/pip install --quiet --no-index --find-links /root/wheels ansible-core pyinfra"
    machine.succeed(install, timeout=300)
    current = json.loads(machine.succeed("hentou status --json"))["current"]
    folder = f"/var/lib/hentou/generations/{current}"
    machine.succeed(f"cp -r {folder}/files /root/items")
    record = json.loads(machine.succeed(f"cat {folder}/manifest.json"))
    for thing in (*record["entries"], *record["directories"]):
        thing["octal"] = f"0{thing['mode']:o}"
    machine.copy_in(json.dumps(record).encode(), "/root/items.json")
    for name, text in (("deploy.py", _PYINFRA), ("play.yaml", _ANSIBLE), ("timed.py", _TIMED)):
        machine.copy_in(text.encode(), f"/root/{name}")
    return sum(len(record[kind]) for kind in ("packages", "directories", "entries", "units"))


def _measure(machine: Machine, name: str, command: str, changed: str) -> tuple[str, ...]:
    """The better of two runs, or the only one of a tool that takes minutes: nothing is left to do before either."""
    runs = []
    while len(runs) < 2 and sum(done["seconds"] for done in runs) < PATIENCE:
        done = json.loads(machine.succeed(f"{_TIME} {command}", timeout=LIMIT))
        print(f"    {done['seconds']:.1f} s, {done['cpu']:.1f} s of processor time", flush=True)
        if done["status"]:
            raise RuntimeError(f"{name} failed: {done['said']}")
        runs.append(done)
    best = min(runs, key=lambda done: float(done["seconds"]))
    found = re.findall(changed, best["said"])
    return (
        name,
        f"{best['seconds']:.2f} s",
        f"{best['cpu']:.2f} s",
        f"{best['peak']:.0f} MB",
        found[-1] if found else "0",
    )
