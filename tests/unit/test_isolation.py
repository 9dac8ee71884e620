"""The same repository gives the same bytes everywhere, and a change touches no machine that it need not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from functools import cache
from pathlib import Path

import pytest

from hentou import compose
from hentou.model.memory import MemoryTree

PILOT = Path(__file__).parents[2] / "examples" / "pilot"
KERMINY, KONKARLAB = "sites/kerminy.yaml", "sites/konkarlab.yaml"
NONE: frozenset[str] = frozenset()
ALL = frozenset({"kerminy-1", "konkarlab-1", "vps-1"})


def build(target: Path, **environment: str) -> dict[str, bytes]:
    """The pilot, built by another process in its own world: every file's bytes."""
    umask = int(environment.pop("umask"), 8)
    repository = target.parent / f"{target.name}.yaml"
    # Copied in another order each time, for directories list their files as they please.
    for path in sorted(PILOT.rglob("*"), reverse=umask == 0o077):
        if path.is_file():
            copy = repository / path.relative_to(PILOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    command = [sys.executable, "-c", "from hentou.cli import main; main()", "build", str(repository), "-o", str(target)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, umask=umask, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_two_processes_build_the_same_bytes(tmp_path: Path) -> None:
    one = build(tmp_path / "one", PYTHONHASHSEED="1", TZ="UTC", LANG="C", LC_ALL="C", umask="022")
    two = build(
        tmp_path / "two", PYTHONHASHSEED="4711", TZ="Asia/Tokyo", LANG="fr_FR.UTF-8", LC_ALL="C.UTF-8", umask="077"
    )
    assert one
    assert one == two


@cache
def pilot() -> dict[str, str]:
    """The pilot's files, with its machines enrolled."""
    files = {
        path.relative_to(PILOT).as_posix(): path.read_text() for path in sorted(PILOT.rglob("*")) if path.is_file()
    }
    keys = {
        f"keys/{name}.yaml": f"wireguard: {b64encode(name.encode().ljust(32)).decode()}\n"
        for name in (*ALL, "yunohost")
    }
    return {**files, **keys}


def ids(files: dict[str, str]) -> dict[str, str]:
    compiler = compose.compiler(compose.load(MemoryTree(files)))
    return {found.manifest.machine: found.id for found in compiler.generations()}


def changed(changes: dict[str, str]) -> frozenset[str]:
    """The machines whose generation differs once some files do."""
    before, after = ids(pilot()), ids({**pilot(), **changes})
    return frozenset(name for name in before | after if before.get(name) != after.get(name))


def edited(file: str, old: str, new: str) -> dict[str, str]:
    text = pilot()[file]
    assert old in text, file
    return {file: text.replace(old, new, 1)}


def added(file: str, text: str) -> dict[str, str]:
    return {file: pilot()[file].rstrip("\n") + "\n" + text}


NEW_SITE = """\
title: Douarnenez
lan: {subnet: 192.168.1.0/24}
machines:
  douarnenez-1: {address: 192.168.1.5}
services:
  pages: {recipe: website, machine: douarnenez-1, name: '@', settings: {source: content/kerminy}}
"""
KEY = f"wireguard: {b64encode(b'douarnenez-1'.ljust(32)).decode()}\n"
ENROLLED = {"sites/douarnenez.yaml": NEW_SITE, "keys/douarnenez-1.yaml": KEY}
SERVICE = "  more: {{recipe: website, machine: kerminy-1, audience: {}, settings: {{source: content/kerminy}}}}\n"


@pytest.mark.parametrize(
    ("what", "changes", "machines"),
    [
        ("nothing", {}, NONE),
        ("a comment", {KERMINY: "# Another first line.\n# And one more.\n" + pilot()[KERMINY]}, NONE),
        ("watts", edited(KERMINY, "power: 12 W", "power: 11 W"), NONE),
        ("how many people", edited(KERMINY, "people: 10", "people: 11"), NONE),
        ("a line's rate", edited(KERMINY, "down: 8M", "down: 9M"), NONE),
        ("an agreement", {"agreements/kerminy.md": "Nothing changes on machines.\n"}, NONE),
        ("the title, which is its page's", edited(KERMINY, "title: Kerminy\n", "title: Kerminy!\n"), {"kerminy-1"}),
        ("the place, which is on its pages", edited(KERMINY, "Rosporden, F", "Bannalec, F"), {"kerminy-1"}),
        ("a page", added("content/kerminy/_index.md", "Un mot de plus.\n"), {"kerminy-1"}),
        ("a setting of one site", added(KERMINY, "features: {base: {journal: 1G}}\n"), {"kerminy-1"}),
        ("a service for its LAN", added(KERMINY, SERVICE.format("lan")), {"kerminy-1"}),
        # Names that other sites' resolvers and relays must know.
        ("a service for all sites", added(KERMINY, SERVICE.format("intranet")), ALL),
        ("a service for everybody", added(KERMINY, SERVICE.format("internet")), ALL),
        # Not in the mesh yet: only what leads its Internet names to the gateways may change.
        ("a site", {"sites/douarnenez.yaml": NEW_SITE}, ALL | {"douarnenez-1"}),
        (
            "a site without services",
            {"sites/douarnenez.yaml": NEW_SITE.partition("services")[0]},
            {"douarnenez-1"},
        ),
        ("an enrolled site", ENROLLED, ALL | {"douarnenez-1"}),
        ("a setting of all sites", added("collective.yaml", "features: {base: {journal: 1G}}\n"), ALL),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_change_touches_these_machines_and_no_other(
    what: str, changes: dict[str, str], machines: frozenset[str]
) -> None:
    assert changed(changes) == frozenset(machines), what


def test_enrolling_a_site_touches_the_gateways_and_what_leads_to_it() -> None:
    unknown = {**pilot(), "sites/douarnenez.yaml": NEW_SITE.partition("services")[0]}
    before, after = ids(unknown), ids({**unknown, "keys/douarnenez-1.yaml": KEY})
    touched = {name for name in before if before[name] != after[name]}
    assert {"vps-1", "douarnenez-1"} <= touched
