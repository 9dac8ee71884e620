"""Rehearsed accidents: cut a machine's power in the middle of an activation, and look at what came back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from hentou.lab.lab import LabError, Machine

# Independent of hentou's own code on purpose: it must not share the mistakes that it looks for.
_LOOK = r"""
import grp, hashlib, json, os, pwd, stat, sys
store = "/var/lib/hentou"
state = json.load(open(f"{store}/state.json"))
def manifest(generation):
    return json.load(open(f"{store}/generations/{generation}/manifest.json"))
current, others = state["current"], set(sys.argv[1:]) - {state["current"]}
wrong, here = [], set()
for entry in manifest(current)["entries"]:
    path = entry["path"]
    here.add(path)
    try:
        found = os.lstat(path)
    except OSError as error:
        wrong.append(f"{path}: {error.strerror}")
        continue
    if entry["target"]:
        if not stat.S_ISLNK(found.st_mode) or os.readlink(path) != entry["target"]:
            wrong.append(f"{path}: not the link to {entry['target']}")
        continue
    owner = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    if not stat.S_ISREG(found.st_mode) or hashlib.sha256(open(path, "rb").read()).hexdigest() != entry["digest"]:
        wrong.append(f"{path}: other content")
    elif (stat.S_IMODE(found.st_mode), *owner) != (entry["mode"], entry["owner"], entry["group"]):
        wrong.append(f"{path}: mode {found.st_mode:o}, owner {owner}")
for other in others:
    for entry in manifest(other)["entries"]:
        if entry["path"] not in here and os.path.lexists(entry["path"]):
            wrong.append(f"{entry['path']}: left from the other generation")
if state.get("pending"):
    wrong.append("an activation is still pending")
print(json.dumps({"current": current, "wrong": wrong}))
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """One power cut: when it came, and what stood on the disk after the next boot."""

    target: str
    before_step: int
    current: str
    wrong: tuple[str, ...]


class PowerCuts:
    """Power cuts of one machine while it goes back and forth between two revisions of the repository.

    Both revisions must be in the machine's repository already. The cut comes just before a step of the
    activation, drawn by `seed`; every machine so drilled tells which generation it came back with.
    """

    def __init__(self, machine: Machine, revisions: tuple[str, str], seed: int) -> None:
        self._machine = machine
        self._random = Random(seed)
        self._revisions = revisions
        self._generations: dict[str, str] = {}

    def prepare(self) -> None:
        """Activate both once, so that each generation is known by its name; the first one stays active."""
        for revision in (self._revisions[1], self._revisions[0]):
            self._machine.succeed(f"hentou converge --rev {revision}", timeout=120)
            said = json.loads(self._machine.succeed("hentou status --json 2>/dev/null"))
            self._generations[revision] = said["current"]
        if len(set(self._generations.values())) != len(self._revisions):
            raise LabError("both revisions give this machine the same generation", "drill a change that touches it")

    def cuts(self, count: int) -> Iterator[Cut]:
        """Cut the power so many times, going through the cut points in a shuffled order."""
        here = self._generations[self._revisions[0]]
        waiting: dict[str, list[int]] = {revision: [] for revision in self._revisions}
        for _ in range(count):
            target = next(r for r in self._revisions if self._generations[r] != here)
            if not waiting[target]:
                points = self._points(target)
                waiting[target] = self._random.sample(range(1, points + 1), points)
            cut = self._cut(target, waiting[target].pop())
            here = cut.current
            yield cut

    def verdict(self, cut: Cut) -> str:
        """How a cut ended: `old`, `new` or `mix`."""
        if cut.wrong:
            return "mix"
        return "new" if cut.current == self._generations[cut.target] else "old"

    def _points(self, revision: str) -> int:
        said = json.loads(self._machine.succeed(f"hentou converge --rev {revision} --dry-run --json 2>/dev/null"))
        return int(said["cut_points"])

    def _cut(self, target: str, before: int) -> Cut:
        status, said = self._machine.execute(f"hentou converge --rev {target} --stop-before {before}", 120)
        if status != 137:
            raise LabError(f"the drill did not stop before point {before}: status {status}\n{said}")
        self._machine.crash()
        self._machine.start()
        known = " ".join(self._generations.values())
        found = json.loads(self._machine.succeed(f"python3 - {known} <<'EOF'\n{_LOOK}\nEOF"))
        wrong = list(found["wrong"])
        if found["current"] not in self._generations.values():
            wrong.append(f"neither the old nor the new generation: {found['current']}")
        return Cut(target, before, found["current"], tuple(wrong))
