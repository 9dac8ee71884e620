"""What the website recipe copies, adds and refuses, and what a changed page touches."""

from __future__ import annotations

import pytest
from feature_world import FILES, compiler, generation, text

from hentou.errors import HentouError, InvalidCollectiveError
from hentou.generation.fragment import Unit
from hentou.generation.offer import Port
from hentou.recipes.website import account

SOURCE = "/var/lib/hentou/website/moor-home/source"


def test_plain_pages_become_content_with_the_recipes_layout() -> None:
    made = generation("heather")
    assert text(made, f"{SOURCE}/content/_index.md") == "# home\n"
    assert made.manifest.by_path[f"{SOURCE}/content/_index.md"].copied_from == "content/home/_index.md"
    assert f"{SOURCE}/layouts/_default/baseof.html" in made.manifest.by_path
    assert 'languageCode = "fr"' in text(made, f"{SOURCE}/hugo.toml")


def test_whole_hugo_site_is_taken_as_it_is() -> None:
    own = {
        "content/home/_index.md": None,
        "content/home/hugo.toml": "title = 'Mine'\n",
        "content/home/content/_index.md": "mine",
        "content/home/layouts/index.html": "{{ .Content }}",
    }
    paths = [path for path in generation("heather", own).manifest.by_path if path.startswith(SOURCE)]
    assert paths == [f"{SOURCE}/{p}" for p in ("content/_index.md", "hugo.toml", "layouts/index.html")]


def test_title_cannot_break_out_of_the_configuration() -> None:
    site = FILES["sites/moor.yaml"].replace("name: '@'", "name: '@', settings: {title: 'a \"b\" \\ c'}")
    made = generation("heather", {"sites/moor.yaml": site})
    assert 'title = "a \\"b\\" \\\\ c"\n' in text(made, f"{SOURCE}/hugo.toml")


def test_missing_pages_are_a_problem_on_the_services_line() -> None:
    with pytest.raises(InvalidCollectiveError) as caught:
        generation("heather", {"content/home/_index.md": None})
    (problem,) = caught.value.problems
    assert problem.message == "website home has no pages: nothing is in content/home/"
    assert problem.hint == "write content/home/_index.md, or name another folder with `source`"
    assert (problem.path, problem.line) == ("sites/moor.yaml", 6)


def triggered(unit: Unit, path: str) -> bool:
    return any(path == t or (t.endswith("/") and path.startswith(t)) for t in unit.triggers)


def test_changed_page_concerns_the_build_of_its_site_alone() -> None:
    before = generation("heather")
    after = generation("heather", {"content/home/_index.md": "# changed\n"})
    changed = [
        path for path, entry in after.manifest.by_path.items() if not entry.same_as(before.manifest.by_path[path])
    ]
    assert changed == [f"{SOURCE}/content/_index.md"]
    units = [unit.name for unit in after.manifest.units if triggered(unit, changed[0])]
    assert units == ["hentou-website-moor-home.service"]


def test_changed_page_changes_no_other_machine() -> None:
    for machine in ("east", "anchor", "gorse"):
        assert generation(machine).id == generation(machine, {"content/home/_index.md": "# changed\n"}).id


def test_account_names_fit_linux_and_stay_apart() -> None:
    assert account("moor-home") == "web-moor-home"
    long = "a" * 30
    assert len(account(f"{long}-{long}")) <= 32
    assert account(f"{long}-{long}1") != account(f"{long}-{long}2")


def test_port_of_the_pages_is_never_opened() -> None:
    (port,) = (p for p in compiler().offers.on(Port, "heather") if p.by == "moor-home")
    made = generation("heather")
    assert f"listen 127.0.0.1:{port.number};" in text(made, "/etc/nginx/conf.d/moor-home.conf")
    assert str(port.number) not in text(made, "/etc/nftables.conf")


@pytest.mark.parametrize("name", ["../../../../../etc/passwd", "./a.md", "a//b.md", "a\nb.md"])
def test_no_name_leads_out_of_the_source_tree(name: str) -> None:
    with pytest.raises(InvalidCollectiveError, match="no path"):
        generation("heather", {f"content/home/{name}": "root::0:0::/:/bin/sh\n"})


def test_a_page_as_large_as_a_film_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hentou.recipes.website.source.LARGEST_FILE", 4)
    with pytest.raises(HentouError, match=r"_index\.md is larger than 4 bytes"):
        generation("heather")
