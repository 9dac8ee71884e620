"""The collective without a master that several scenarios share, and what they all ask of it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from hentou.lab.deploy import Admin
from hentou.lab.lab import Machine

ROOT = Path(__file__).parents[2]
GATEWAY = """
  vps-2:
    title: La passerelle de secours
    memory: 2G
    disk: 20G
    public:
      ipv4: 203.0.113.11
    gateway: true
"""
PEOPLE = ("yuna", "erwan", "nolwenn")
MACHINES = ("kerminy-1", "konkarlab-1", "vps-1", "vps-2")


def two_gateways(directory: Path) -> Path:
    """The pilot, with a second gateway, two more admins, and agents in a hurry."""
    shutil.copytree(ROOT / "examples" / "pilot", directory)
    vps = directory / "sites" / "vps.yaml"
    vps.write_text(vps.read_text().rstrip() + GATEWAY)
    key = next(line for line in (directory / "roster.yaml").read_text().splitlines() if "ssh-ed25519" in line)
    # The lab gives everybody a key of its own; what stands here only has to be different.
    keys = {"yuna": key, "erwan": key.replace("Gos3m", "Gos3n"), "nolwenn": key.replace("Gos3m", "Gos3o")}
    lines = [line for person in PEOPLE for line in (f"  {person}:", keys[person])]
    (directory / "roster.yaml").write_text("\n".join(["threshold: 1", "root_threshold: 2", "admins:", *lines, ""]))
    for person in PEOPLE[1:]:
        (directory / "people" / f"{person}.yaml").write_text(f"full_name: {person.title()}\n")
    settings = directory / "collective.yaml"
    settings.write_text(settings.read_text().replace("policies:\n", "policies:\n  poll: 5s\n"))
    return directory


def said(machine: Machine) -> dict[str, Any]:
    return json.loads(machine.succeed("hentou status --json 2>/dev/null"))


def follows(machine: Machine, commit: str, patience: float) -> float:
    """Wait until a machine runs a commit's generation; how many seconds it took."""
    begin = time.monotonic()
    machine.wait_until_succeeds(f'hentou status --json 2>/dev/null | grep -q \'"commit": "{commit}"\'', patience)
    return time.monotonic() - begin


def change(admin: Admin, text: str, site: str = "kerminy") -> str:
    """A new line on a site's page, committed."""
    page = admin.repository / "content" / site / "_index.md"
    page.write_text(page.read_text() + f"\n{text}\n")
    return admin.commit(text)
