"""Power cuts by the hundred: how often the old and the new generation came back, and never a mix."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.report import Section
from hentou import compose
from hentou.effects import clock
from hentou.effects.tree import DirectoryTree
from hentou.lab.bundle import build_bundle
from hentou.lab.deploy import deploy
from hentou.lab.drills import PowerCuts
from hentou.lab.lab import Lab

CUTS = 120
SEED = 7


def measure(work: Path) -> Section:
    """Drill the pilot's Kerminy machine."""
    section = Section(
        "Power cuts",
        "The pilot's Kerminy machine goes back and forth between two revisions; its power is cut just before a "
        "drawn point of the activation, it boots, and every owned file is compared with the manifests.",
        ("cuts", "old generation back", "new generation back", "a mix", "seconds a cut"),
    )
    model = compose.load(DirectoryTree(Path("examples/pilot")))
    with Lab.up(model, bundle=build_bundle(work / "bundle"), name="bench") as lab:
        admin = deploy(lab)
        admin.still()
        before = admin.commit("As it is")
        page = admin.repository / "content" / "kerminy" / "_index.md"
        page.write_text(page.read_text() + "\nUne ligne de plus.\n")
        (page.parent / "nouvelle.md").write_text("---\ntitle: Nouvelle\n---\nUne page de plus.\n")
        after = admin.commit("A page changed, and one more")
        admin.push()
        drill = PowerCuts(lab.machine("kerminy-1"), (before, after), SEED)
        drill.prepare()
        begin = clock.monotonic()
        found = Counter(drill.verdict(cut) for cut in drill.cuts(CUTS))
        each = (clock.monotonic() - begin) / CUTS
    section.rows.append((str(CUTS), str(found["old"]), str(found["new"]), str(found["mix"]), f"{each:.1f}"))
    section.notes.append(f"Seed {SEED}. `hentou converge --stop-before N` stops dead, then the machine is killed.")
    section.notes.append(
        "The host's page cache survives such a cut, so writes that were never synced are not lost here; "
        "tests/unit checks that with a simulated disk that loses and reorders them."
    )
    return section
