"""How long, and in how much memory, a collective of N sites is checked and compiled."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import collective
from benchmarks.report import Section

SIZES = (2, 10, 50, 200, 1000)

# Runs in a process of its own, so that its peak memory is its own.
_MEASURE = """
import json, resource, sys, time
begin = time.perf_counter()
from pathlib import Path
from hentou import compose
from hentou.effects.tree import DirectoryTree
imported = time.perf_counter()
model = compose.load(DirectoryTree(Path(sys.argv[1])))
loaded = time.perf_counter()
compiler = compose.compiler(model)
one = compiler.generation(model.managed[0])
first = time.perf_counter()
size = sum(generation.manifest.id != '' for generation in compiler.generations())
print(json.dumps({
    'import': imported - begin, 'load': loaded - imported, 'one': first - loaded,
    'all': time.perf_counter() - first, 'machines': size,
    'peak': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measure() -> Section:
    """Compile generated collectives of growing size."""
    section = Section(
        "Compile",
        "Load and check a whole collective, compile one machine's generation (what a machine does), then every "
        "machine's (what `hentou build` does). Budget: 50 sites in 2 s and 150 MB, and linear to 1,000.",
        ("sites", "machines", "import", "load + check", "one machine", "all machines", "total", "ms a site", "peak"),
    )
    for sites in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            collective.write(Path(directory), sites)
            done = subprocess.run(
                [sys.executable, "-c", _MEASURE, directory], capture_output=True, text=True, check=True
            )
        found = json.loads(done.stdout)
        total = sum(found[key] for key in ("import", "load", "one", "all"))
        times = [f"{found[key]:.2f} s" for key in ("import", "load", "one", "all")]
        section.rows.append(
            (
                str(sites), str(found["machines"]), *times, f"{total:.2f} s",
                f"{(total - found['import']) / sites * 1000:.1f}", f"{found['peak']:.0f} MB",
            )
        )  # fmt: skip
    return section
