"""Documentation does not rot: links, commands, targets and YAML in it are real."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hentou import compose
from hentou.cli.app import app
from hentou.effects.tree import DirectoryTree
from hentou.generation.contract import View
from hentou.generation.offer import Offers

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[es]*/**/README.md")],
)
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))

_FENCE = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HENTOU = re.compile(r"(?:^|[\s/|])hentou((?: [^\s|&;>#]+)*)")
_MAKE = re.compile(r"(?:^|[\s])make ([a-z][a-z-]*)")


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def code(text: str) -> Iterator[str]:
    """Every line of code in a page: of fenced blocks that show commands, and inline."""
    for language, block in _FENCE.findall(text):
        if language in ("", "sh", "shell", "console"):
            yield from block.splitlines()
    yield from _SPAN.findall(prose(text))


def verbs() -> dict[str, Any]:
    """Every verb and subcommand of the command line, as typed after `hentou`."""
    root: Any = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in root.commands.items():
        found[name] = command
        found |= {f"{name} {inner}": leaf for inner, leaf in getattr(command, "commands", {}).items()}
    return found


def unknown_words(said: list[str]) -> str:
    """What is wrong with the words after `hentou`, or nothing."""
    known = verbs()
    words = [word for word in said if not word.startswith("-")]
    if not words or words[0] == "VERB":
        return ""
    if words[0] not in known:
        return words[0]
    verb, command = words[0], known[words[0]]
    if hasattr(command, "commands"):
        inner = words[1].rstrip(",.") if len(words) > 1 else ""
        alternatives = inner.split("|") if inner else []
        missing = [word for word in alternatives if word != "…" and f"{verb} {word}" not in known]
        if missing or not alternatives:
            return f"{verb} {' '.join(missing)}".strip() if missing else ""
        command = known.get(f"{verb} {inner}", command)
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    given = said[: said.index("--")] if "--" in said else said
    wrong = [word for word in given if re.fullmatch(r"--[a-z][a-z-]*", word) and word not in {*options, "--help"}]
    return f"{verb} {' '.join(wrong)}" if wrong else ""


def test_relative_links_lead_somewhere(page: Path) -> None:
    lost = []
    for target in _LINK.findall(prose(page.read_text())):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = (page.parent / path) if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            lost.append(target)
    assert not lost


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as forges make them."""
    titles = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_links_stay_inside_the_repository(page: Path) -> None:
    targets = [t.partition("#")[0] for t in _LINK.findall(prose(page.read_text())) if not re.match(r"[a-z]+:", t)]
    outside = [t for t in targets if not (page.parent / t).resolve().is_relative_to(ROOT)]
    assert not outside


def test_commands_exist(page: Path) -> None:
    wrong = []
    for line in code(page.read_text()):
        for said in _HENTOU.findall(line):
            if problem := unknown_words(said.split()):
                wrong.append(f"hentou {problem}: {line.strip()}")
    assert not wrong


def test_make_targets_exist(page: Path) -> None:
    named = {target for line in code(page.read_text()) for target in _MAKE.findall(line)}
    assert named <= TARGETS


def test_yaml_in_pages_is_yaml(page: Path) -> None:
    for language, block in _FENCE.findall(page.read_text()):
        if language == "yaml":
            assert yaml.safe_load(block) is not None


def test_every_page_of_docs_is_linked() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in _LINK.findall(page.read_text())
    }
    orphans = [page for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in linked]
    assert [str(page.relative_to(ROOT)) for page in orphans] in ([], ["docs/index.md"])


def test_both_readmes_have_the_same_parts() -> None:
    english, french = ((ROOT / name).read_text() for name in ("README.md", "README.fr.md"))
    for mark in (r"^## ", r"^\d\. ", r"^\|", r"^- "):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, french, re.MULTILINE))
    commands = [[line for line in code(text) if "hentou lab" in line or "make " in line] for text in (english, french)]
    assert commands[0] == commands[1]


@pytest.mark.parametrize("words", ["chekc", "lab dwon", "plan --agianst"])
def test_a_wrong_command_would_be_found(words: str) -> None:
    assert unknown_words(words.split())


def test_the_feature_of_the_tutorial_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = _FENCE.findall((ROOT / "docs/tutorial/2-your-first-feature.md").read_text())
    package = tmp_path / "contacts"
    (package / "templates").mkdir(parents=True)
    (package / "__init__.py").write_text(next(block for language, block in blocks if language == "python"))
    (package / "templates/motd").write_text(next(block for _, block in blocks if "{{ machine }}" in block))
    monkeypatch.syspath_prepend(tmp_path)
    contacts: Any = importlib.import_module("contacts")
    collective = compose.load(DirectoryTree(ROOT / "examples/pilot"))

    def render(machine: str) -> Any:
        view = View(collective, collective.machines[machine], contacts.Settings(), Offers(()))
        return contacts.render(view)

    assert render("vps-1") is None
    (file,) = render("kerminy-1").files
    assert file.path == "/etc/motd.d/contacts"
    expected = "kerminy-1, at Kerminy.\nIn case of trouble, call:\n  Maïwenn <maiwenn@pilot.example>\n"
    assert file.content.decode() == expected


@pytest.mark.parametrize("name", ["pilot", "contre-voie", "globenet"])
def test_examples_are_clean_and_compile(name: str) -> None:
    collective = compose.load(DirectoryTree(ROOT / "examples" / name))
    agreements = {site.agreement for site in collective.sites.values()} - {""}
    assert all((ROOT / "examples" / name / agreement).is_file() for agreement in agreements)
    built = [generation.manifest.machine for generation in compose.compiler(collective).generations()]
    assert built == [machine.name for machine in collective.managed]
