"""`make bench`: measure everything, or what is named, and write docs/benchmarks.md.

Each section is kept as JSON in build/bench, so that one can be measured again without the others.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks import boot, compile_sites, converge, following, journals, memory, power_cuts
from benchmarks.report import Section, page

MEASURES = {
    "compile": lambda _: compile_sites.measure(),
    "boot": boot.measure,
    "memory": memory.measure,
    "agent": memory.agent,
    "following": following.measure,
    "journals": journals.measure,
    "power-cuts": power_cuts.measure,
    "converge": converge.measure,
}


def main(names: list[str]) -> None:
    """Measure, then write the page from what is measured so far."""
    work = Path("build/bench").resolve()
    work.mkdir(parents=True, exist_ok=True)
    for name in names or MEASURES:
        print(f"{name} …", flush=True)
        section = MEASURES[name](work)
        (work / f"{name}.json").write_text(json.dumps(asdict(section)))
    kept = [work / f"{name}.json" for name in MEASURES if (work / f"{name}.json").exists()]
    sections = [Section(**json.loads(path.read_text())) for path in kept]
    Path("docs/benchmarks.md").write_text(page(sections))


if __name__ == "__main__":
    main(sys.argv[1:])
