"""What `hentou lab browse` prints opens the collective's pages, as its people see them."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from hentou.lab.browse import open_proxy
from hentou.lab.deploy import Admin
from hentou.lab.lab import Lab
from hentou.lab.survey import start_page

pytestmark = pytest.mark.lab

PORT = 10898
INSIDE = "https://interne.kerminy.pilot.example/"


def seen(line: str) -> subprocess.CompletedProcess[str]:
    words = [*shlex.split(line), "--silent", "--show-error", "--fail", "--noproxy", "", "--max-time", "10"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("place", ["kerminy/laptop", "konkarlab/laptop", "visitor"])
def test_the_first_page_opens_with_the_layout_of_the_recipe(pilot: tuple[Lab, Admin], place: str) -> None:
    lab, admin = pilot
    page = seen(open_proxy(lab, place, PORT).curl(start_page(admin.load(), place))).stdout
    assert '<html lang="fr">' in page
    assert '<main id="main"' in page


def test_a_page_of_the_sites_opens_at_both_and_not_from_outside(pilot: tuple[Lab, Admin]) -> None:
    lab, _ = pilot
    found = {
        place: seen(open_proxy(lab, place, PORT).curl(INSIDE)).returncode == 0
        for place in ("kerminy/laptop", "konkarlab/laptop", "visitor")
    }
    assert found == {"kerminy/laptop": True, "konkarlab/laptop": True, "visitor": False}
