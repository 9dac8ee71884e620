"""Plans as readable data: see tests/golden/plan/README.md."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from hentou.generation.facts import AccountFact, Adopted, Facts, PathFact, UnitFact
from hentou.generation.fragment import Certificate, Directory, OnChange, Unit, User
from hentou.generation.generation import Entry, Manifest
from hentou.generation.plan import plan

CASES = sorted((Path(__file__).parent.parent / "golden/plan").glob("*.yaml"))


def digest(content: str) -> str:
    return sha256(content.encode()).hexdigest()


def spread(item: Any) -> dict[str, Any]:
    return {"content": item} if isinstance(item, str) else dict(item)


def entry(path: str, item: Any) -> Entry:
    fields = spread(item)
    return Entry(path, fields.pop("by", "base"), (), digest=digest(fields.pop("content")), **fields)


def manifest(record: dict[str, Any]) -> Manifest:
    entries = [entry(path, item) for path, item in record.get("files", {}).items()]
    entries += [Entry(path, "base", (), 0o777, target=target) for path, target in record.get("links", {}).items()]
    return Manifest(
        "m",
        packages=tuple(record.get("packages", ())),
        users=tuple(
            User(name, **{**item, "groups": tuple(item.get("groups", ()))})
            for name, item in sorted(record.get("users", {}).items())
        ),
        directories=tuple(Directory(path, **item) for path, item in sorted(record.get("directories", {}).items())),
        entries=tuple(sorted(entries, key=lambda item: item.path)),
        units=tuple(unit(name, item) for name, item in sorted(record.get("units", {}).items())),
        certificates=tuple(
            Certificate(path, **{**item, "names": tuple(item["names"])})
            for path, item in record.get("certificates", {}).items()
        ),
    )


def unit(name: str, item: dict[str, Any]) -> Unit:
    fields = {**item, "triggers": tuple(item.get("triggers", ()))}
    return Unit(name, on_change=OnChange(fields.pop("on_change", "restart")), **fields)


def facts(record: dict[str, Any], old: Manifest | None, new: Manifest) -> Facts:
    found = Facts.assumed(old, new)
    paths = dict(found.paths)
    for path, item in record.get("files", {}).items():
        paths.pop(path, None)
        if item is not None:
            fields = spread(item)
            paths[path] = PathFact("file", digest(fields.pop("content")), fields.pop("mode", 0o644), **fields)
    units = {name: unit_fact(active) for name, active in record.get("units", {}).items()}
    accounts = {name: AccountFact(**item) for name, item in record.get("accounts", {}).items()}
    return replace(
        found,
        packages=frozenset(record["packages"]) if "packages" in record else found.packages,
        paths=paths,
        units={**found.units, **units},
        accounts={**found.accounts, **accounts},
        certificates={**found.certificates, **record.get("certificates", {})},
        adopted={path: Adopted(digest(one), (digest(two),)) for path, (one, two) in record.get("adopted", {}).items()},
    )


def unit_fact(active: str) -> UnitFact:
    return UnitFact("inactive", oneshot=True) if active == "done" else UnitFact(active)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    old = manifest(case["old"]) if case["old"] is not None else None
    new = manifest(case["new"])
    found = plan(old, new, facts(case.get("facts", {}), old, new))
    assert [str(step) for step in found.steps] == case["steps"]
    assert [f"{held.path}: {held.reason}" for held in found.held] == case.get("held", [])


def test_there_are_cases() -> None:
    assert len(CASES) >= 12
