"""The other examples boot too: La Contre-Voie with its eight machines, one of which is arm64 in life."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab
from hentou.lab.survey import survey

pytestmark = pytest.mark.lab

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_contre_voie_boots_with_its_arm64_machine_simulated(boot: Callable[[Path], tuple[Lab, Admin]]) -> None:
    lab, admin = boot(EXAMPLES / "contre-voie")
    try:
        machines = {machine.name: machine for machine in lab.status().machines}
        assert len(machines) == 8
        assert all(machine.on for machine in machines.values())
        assert {name: machine.simulated for name, machine in machines.items() if machine.simulated} == {
            "demoiselle": "arm64"
        }
        sights = survey(lab, admin.load(), admin.authority, 60)
        assert sights
        assert [sight for sight in sights if not sight.good] == []
    finally:
        lab.down()
