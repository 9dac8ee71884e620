"""Labs for tests: one of plain machines, one of the pilot collective, and names for labs of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from two_gateways import MACHINES, follows, two_gateways

from hentou import compose
from hentou.effects.tree import DirectoryTree
from hentou.lab.bundle import build_bundle
from hentou.lab.cleanup import remove
from hentou.lab.deploy import Admin, deploy
from hentou.lab.lab import Lab
from hentou.model.types import Collective, CollectiveSpec, Roster, Site

ROOT = Path(__file__).parents[2]


class OneFile:
    """A collective's repository with next to nothing in it, for machines that nobody configures."""

    def files(self) -> Iterator[str]:
        return iter(["collective.yaml"])

    def read(self, path: str, limit: int | None = None) -> bytes:
        return {"collective.yaml": b"name: tiny\n"}[path][:limit]


def site(name: str, machines: Mapping[str, Mapping[str, Any]], **values: Any) -> Site:
    """A site, from what its YAML would say."""
    found = {key: {"$name": key, "$site": name, **machine} for key, machine in machines.items()}
    return Site.model_validate({"$name": name, "machines": found, **values})


def tiny_collective() -> Collective:
    """A machine behind a box with 8 and 0.8 Mbit/s, and a server on the Internet."""
    line = {"$name": "adsl", "kind": "adsl", "down": "8M", "up": "800k"}
    sites = [
        site("home", {"home-1": {}}, lan={"subnet": "192.168.7.0/24"}, uplinks={"adsl": line}),
        site("rack", {"rack-1": {"public": {"ipv4": "203.0.113.20"}, "gateway": True}}),
    ]
    spec = CollectiveSpec(name="tiny", domain="tiny.example", contact="root@tiny.example")
    return Collective(spec, Roster(), {}, {found.name: found for found in sites}, {}, None, OneFile())


@pytest.fixture(scope="session")
def tiny() -> Collective:
    return tiny_collective()


def new_name() -> str:
    return f"t{uuid4().hex[:10]}"


@pytest.fixture
def lab_name() -> Iterator[str]:
    """A name for a lab, which is taken down after the test whatever became of it."""
    name = new_name()
    yield name
    remove(name)


@pytest.fixture(scope="session")
def plain() -> Iterator[Lab]:
    """The tiny collective, booted without hentou: for tests of the lab itself."""
    with Lab.up(tiny_collective(), name=new_name()) as lab:
        yield lab


@pytest.fixture(scope="session")
def boot() -> Iterator[Callable[[Path], tuple[Lab, Admin]]]:
    """Boot and deploy a collective's directory; the lab goes when all tests have run."""
    labs: list[Lab] = []

    def up(directory: Path) -> tuple[Lab, Admin]:
        admins: list[Admin] = []
        lab = Lab.up(
            compose.load(DirectoryTree(directory)),
            bundle=build_bundle(ROOT / "build" / "bundle"),
            name=new_name(),
            deploy=lambda booted: admins.append(deploy(booted)),
        )
        labs.append(lab)
        return lab, admins[0]

    yield up
    for lab in labs:
        lab.down()


@pytest.fixture(scope="session")
def pilot(boot: Callable[[Path], tuple[Lab, Admin]]) -> tuple[Lab, Admin]:
    """The pilot collective, converged, with somebody who administers it.

    Its resident agents are switched off for good: these scenarios look at one converge at a time.
    """
    lab, admin = boot(ROOT / "examples" / "pilot")
    admin.still()
    return lab, admin


@pytest.fixture(scope="session")
def pair(boot: Callable[[Path], tuple[Lab, Admin]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Admin]:
    """Two sites, two gateways, three admins; the resident agents run, so that nobody tells anyone to converge."""
    return boot(two_gateways(tmp_path_factory.mktemp("two") / "collective"))


@pytest.fixture
def whole(pair: tuple[Lab, Admin]) -> Iterator[tuple[Lab, Admin]]:
    """The collective, which is whole again after the test: all plugged, all on, all following the same head."""
    lab, admin = pair
    yield lab, admin
    lab.mend()
    for name in MACHINES:
        follows(lab.machine(name), admin.accepted, 120)
