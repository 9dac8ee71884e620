"""From files to a collective: what nobody writes is filled in, and nothing but problems comes of nonsense."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from hentou.effects.tree import DirectoryTree
from hentou.errors import InvalidCollectiveError
from hentou.model.load import load
from hentou.model.memory import MemoryTree
from hentou.model.types import Collective, Pointer, Spec

BASE = DirectoryTree(Path(__file__).parents[1] / "problems" / "_base")
FILES = {path: BASE.read(path).decode() for path in BASE.files()}


class Hello(Spec):
    greeting: str = "Demat"
    times: int = 1


class Website(Spec):
    source: str = Field(description="Where the pages are.")


def loaded(files: Mapping[str, str | bytes], *, hello: type[Spec] = Hello) -> Collective:
    return load(MemoryTree({**FILES, **files}), {"hello": hello}, {"website": Website})


def problems(files: Mapping[str, str | bytes], *, hello: type[Spec] = Hello) -> list[str]:
    with pytest.raises(InvalidCollectiveError) as caught:
        loaded(files, hello=hello)
    return [f"{p.path}:{p.line}: {p.message}" for p in caught.value.problems]


def test_names_come_from_files_and_keys() -> None:
    collective = loaded({"collective.yaml": FILES["collective.yaml"] + "groups:\n  volunteers:\n"})
    site = collective.sites["kerminy"]
    assert site.name == "kerminy"
    assert site.uplinks["adsl"].name == "adsl"
    assert (site.machines["kerminy-1"].name, site.machines["kerminy-1"].site) == ("kerminy-1", "kerminy")
    assert (site.services["site"].key, site.services["site"].site) == ("site", "kerminy")
    assert collective.people["yuna"].name == "yuna"
    assert collective.spec.groups["volunteers"].name == "volunteers"


def test_a_machine_needs_nothing_but_its_name() -> None:
    assert "konkarlab-1" in loaded({"people/yuna.yaml": ""}).machines


def test_quantities() -> None:
    uplink = loaded({}).sites["kerminy"].uplinks["adsl"]
    assert (uplink.down, uplink.up) == (8_000_000, 800_000)


def test_positions_count_from_one() -> None:
    positions = loaded({}).positions
    file = "sites/kerminy.yaml"
    assert positions[Pointer(file)] == (1, 1)
    assert positions[Pointer(file, ("machines", "kerminy-1"))] == (11, 3)
    assert positions[Pointer(file, ("services", "site", "settings", "source"))] == (20, 7)
    assert positions[Pointer(file, ("referents", "0"))] == (2, 13)


def test_the_line_of_what_is_not_written_is_that_of_what_holds_it() -> None:
    assert loaded({}).line(Pointer("sites/kerminy.yaml", ("machines", "kerminy-1", "memory"))) == 11


def test_keys_and_authority() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    wireguard = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
    collective = loaded({"keys/authority.pem": pem, "keys/vps-1.yaml": f"wireguard: {wireguard}\n"})
    assert collective.authority == pem
    assert collective.keys["vps-1"].wireguard == wireguard
    assert loaded({}).authority is None


def test_files_that_hentou_does_not_read_are_no_problem() -> None:
    loaded(
        {
            "README.md": "Hello\n",
            "LICENSE": "…",
            "content/kerminy/config.yaml": "title: [unclosed\n",
            "recipes/wiki/recipe.yml": "anything\n",
            "announcements/cut.md": "…",
            "secrets/README.md": "…",
            "compose.yaml": "services: {}\n",
            "overrides/kerminy-1/etc/motd": "Hello\n",
        }
    )


def test_the_order_of_problems_is_that_of_files_and_lines() -> None:
    found = problems({"sites/vps.yaml": "b: 1\na: 1\n", "collective.yaml": "z: 1\n", "people/yuna.yaml": "x: 1\n"})
    assert found == sorted(found)
    assert len(found) == 7


def test_settings_of_a_feature_at_a_site_stand_over_those_of_the_collective() -> None:
    common = FILES["collective.yaml"] + "features:\n  hello: {greeting: [Demat], times: two}\n"
    site = FILES["sites/vps.yaml"] + "features:\n  hello: {times: 2, greeting: Hi}\n"
    # Two other sites still follow the collective's words, which are wrong by themselves.
    assert problems({"collective.yaml": common, "sites/vps.yaml": site}) == [
        "collective.yaml:5: greeting: text is expected, not a list",
        "collective.yaml:5: times: a whole number is expected, not 'two'",
    ]


def test_what_a_feature_needs_may_be_given_half_by_the_collective_and_half_by_the_site() -> None:
    class Both(Spec):
        one: str
        two: str

    common = {"collective.yaml": FILES["collective.yaml"] + "features:\n  hello: {one: a}\n"}
    halves = {path: text + "features:\n  hello: {two: b}\n" for path, text in FILES.items() if "sites/" in path}
    loaded({**common, **halves}, hello=Both)
    assert problems({**common, **dict(list(halves.items())[1:])}, hello=Both) == ["collective.yaml:5: two is missing"]


@given(st.sampled_from(sorted(FILES)), st.text(max_size=300))
def test_any_text_loads_or_is_a_problem(file: str, text: str) -> None:
    _load_or_refuse({file: text.encode(errors="replace")})


WORDS = """
    machines services uplinks lan referents power name site kerminy-1 recipe machine settings external address
    public ipv4 guest_of admins members groups features hello subnet mesh_id threshold box down up $name
"""
KEYS = st.sampled_from(WORDS.split()) | st.text(max_size=5)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["kerminy-1", "kerminy-2", "192.168.1.1", "192.168.1.0/24", "15 W", "8M", "yuna", "@"])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(st.sampled_from(sorted(FILES)), st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_data_loads_or_is_a_problem(file: str, data: dict[str, object]) -> None:
    _load_or_refuse({file: json.dumps(data)})


@given(st.sampled_from(sorted(FILES)), st.lists(KEYS, min_size=1, max_size=5), VALUES)
def test_any_change_of_a_valid_file_loads_or_is_a_problem(file: str, path: list[str], value: object) -> None:
    data = yaml.safe_load(FILES[file])
    place = data
    for key in path[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else {}
        if place is None:
            return
    if isinstance(place, dict):
        place[path[-1]] = value
    _load_or_refuse({file: json.dumps(data)})


def _load_or_refuse(files: Mapping[str, str | bytes]) -> None:
    try:
        loaded(files)
    except InvalidCollectiveError as invalid:
        assert invalid.problems
        for problem in invalid.problems:
            assert problem.message
            assert str(problem).isprintable() or "\n" in str(problem)
