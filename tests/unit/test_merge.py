"""Fragments become one generation, or a problem that names both who claim the same thing."""

from __future__ import annotations

import json

import pytest
from feature_world import compiler, generation
from hypothesis import given
from hypothesis import strategies as st

from hentou.errors import InvalidCollectiveError
from hentou.generation.fragment import Directory, File, Fragment, OnChange, Symlink, Unit, User
from hentou.generation.generation import Generation, Manifest
from hentou.generation.merge import merge
from hentou.generation.offer import Port, Reach


def merged(*fragments: Fragment, ports: tuple[Port, ...] = ()) -> Generation:
    collective = compiler().collective
    return merge(collective, collective.machines["heather"], fragments, ports)


def refused(*fragments: Fragment, ports: tuple[Port, ...] = ()) -> list[str]:
    with pytest.raises(InvalidCollectiveError) as caught:
        merged(*fragments, ports=ports)
    return [problem.message for problem in caught.value.problems]


def port(by: str, number: int) -> Port:
    return Port("heather", by, "tcp", number, Reach.LOCAL, "test")


def test_two_claims_to_one_thing_name_both() -> None:
    one = Fragment("one", files=(File("/etc/x", b"1"),), users=(User("ann", 21000),), units=(Unit("x.service"),))
    two = Fragment(
        "two",
        files=(File("/etc/x", b"2"),),
        users=(User("ann", 21001),),
        units=(Unit("x.service", OnChange.RELOAD),),
    )
    assert refused(one, two, ports=(port("one", 80), port("two", 80))) == [
        "account ann on heather is claimed by one and by two",
        "unit x.service on heather is claimed by one and by two",
        "file /etc/x on heather is claimed by one and by two",
        "port 80/tcp on heather is claimed by one and by two",
    ]


def test_one_user_id_for_two_accounts() -> None:
    one = Fragment("one", users=(User("ann", 21000),))
    two = Fragment("two", users=(User("bob", 21000),))
    assert refused(one, two) == ["user id 21000 on heather is claimed by one (ann) and by two (bob)"]


def test_a_link_and_a_file_at_one_path() -> None:
    one = Fragment("one", files=(File("/etc/x", b"1"),))
    two = Fragment("two", symlinks=(Symlink("/etc/x", "/etc/y"),))
    assert refused(one, two) == ["file /etc/x on heather is claimed by one and by two"]


def test_a_conflict_is_told_on_the_users_own_line() -> None:
    one, two = (Fragment(by, files=(File("/etc/x", by.encode()),)) for by in ("one", "two"))
    with pytest.raises(InvalidCollectiveError) as caught:
        merged(one, two)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("sites/moor.yaml", 3)
    assert problem.source == "  heather: {address: 192.168.1.10}"


def test_the_same_claim_twice_is_one() -> None:
    shared = (Directory("/var/lib/x"),)
    found = merged(Fragment("one", directories=shared), Fragment("two", directories=shared))
    assert [item.path for item in found.manifest.directories] == ["/var/lib/x"]


def test_units_are_enabled_by_links_that_are_owned() -> None:
    own = Fragment("one", files=(File("/etc/systemd/system/a.service", b""),), units=(Unit("a.service"),))
    theirs = Fragment(
        "two", units=(Unit("wg-quick@hentou.service", wanted_by="network.target"), Unit("b.socket", wanted_by=""))
    )
    links = {entry.path: entry.target for entry in merged(own, theirs).manifest.entries if entry.is_link}
    assert links == {
        "/etc/systemd/system/multi-user.target.wants/a.service": "/etc/systemd/system/a.service",
        "/etc/systemd/system/network.target.wants/wg-quick@hentou.service": "/usr/lib/systemd/system/wg-quick@.service",
    }


@given(st.permutations(["access", "base", "edge", "hello", "mesh", "names"]))
def test_the_order_of_features_changes_nothing(order: list[str]) -> None:
    world = compiler()
    heather = world.collective.machines["heather"]
    fragments = sorted(world.fragments(heather), key=lambda f: order.index(f.by) if f.by in order else -1)
    ports = world.offers.on(Port, "heather")
    assert merge(world.collective, heather, fragments, ports).id == world.generation(heather).id


@pytest.mark.parametrize("machine", ["east", "heather", "gorse", "anchor"])
def test_a_manifest_comes_back_from_its_json(machine: str) -> None:
    manifest = generation(machine).manifest
    again = Manifest.parse(manifest.json)
    assert again == manifest
    assert again.json == manifest.json
    assert json.loads(manifest.json)["machine"] == machine


def test_check_compiles_and_tells_all_that_is_missing() -> None:
    world = compiler({"content/home/_index.md": None, "content/atelier/_index.md": None})
    assert [(p.path, p.line) for p in world.problems()] == [("sites/moor.yaml", 6), ("sites/quay.yaml", 6)]
