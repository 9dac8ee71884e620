"""How long a collective takes to boot in the lab, from a cached image to every page opening everywhere."""

from __future__ import annotations

from pathlib import Path

from benchmarks import collective
from benchmarks.report import Section
from hentou import compose
from hentou.effects import clock
from hentou.effects.tree import DirectoryTree
from hentou.lab.bundle import build_bundle
from hentou.lab.deploy import Admin, deploy
from hentou.lab.lab import Lab
from hentou.lab.survey import survey

SIZES = (1, 8)
"""Sites, of one machine each; two gateways come with them."""


def measure(work: Path) -> Section:
    """Boot three machines, then ten."""
    section = Section(
        "Boot the lab",
        "Image cached. Up: networks made, machines booted. Active: enrolled, compiled, activated. Green: every URL "
        "opens from every laptop and from the Internet. Budget: 3 machines green in 60 s.",
        ("machines", "up", "active", "green", "memory in use, more than before"),
    )
    bundle = build_bundle(work / "bundle")
    for sites in SIZES:
        repository = work / f"boot-{sites}"
        collective.write(repository, sites)
        for key in (repository / "keys").iterdir():
            key.unlink()  # the booted machines make their own
        section.rows.append(_boot(repository, bundle, sites + 2))
    return section


def _boot(repository: Path, bundle: Path, machines: int) -> tuple[str, ...]:
    model = compose.load(DirectoryTree(repository))
    free, begin = _available(), clock.monotonic()
    with Lab.up(model, bundle=bundle, name="bench") as lab:
        up = clock.monotonic() - begin
        admin: Admin = deploy(lab)
        active = clock.monotonic() - begin
        bad = [sight for sight in survey(lab, admin.load(), admin.authority, 60) if not sight.good]
        if bad:
            raise RuntimeError(f"not green: {bad}")
        green = clock.monotonic() - begin
        used = free - _available()
    return str(machines), f"{up:.1f} s", f"{active:.1f} s", f"{green:.1f} s", f"{used:.0f} MB"


def _available() -> float:
    """Memory that the kernel could still give, in MB."""
    text = Path("/proc/meminfo").read_text()
    return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("MemAvailable"))
