"""The page that the measurements become: what was measured, on what machine, with which command."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass
class Section:
    """One measurement: what it shows, a table, and what must be known to read it fairly."""

    title: str
    question: str
    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The section as Markdown."""
        table = [list(self.header), ["---"] * len(self.header), *(list(row) for row in self.rows)]
        lines = [f"## {self.title}", "", self.question, ""]
        lines += ["| " + " | ".join(row) + " |" for row in table]
        lines += [""] + [f"- {note}" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"


def machine() -> str:
    """The machine that measures, in one line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} processors ({model}), {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def page(sections: Sequence[Section]) -> str:
    """The whole page."""
    head = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}. Machine: {machine()}.",
        "What a section compares was run one after the other. The budgets are in the section they belong to.",
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(section.markdown() for section in sections)
