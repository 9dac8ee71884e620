"""A small part of the year that `make bench` generates: it is packed, whole, and taken in by its tips' signatures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hentou.agent.standing import store
from hentou.ledger.journals import entries, ingest_all, newest_of

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_some_days_of_some_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from benchmarks import journals as bench

    monkeypatch.setattr("hentou.agent.journals.LOOSE", 20)
    writers = [bench.writer(tmp_path / "keys", f"box-{number}") for number in range(3)]
    host = bench.machine(tmp_path / "root", writers)
    count = bench.generate(host, writers, days=4, together=30)
    assert count == 3 * (4 * bench.A_DAY + 1)
    here = store(host)
    assert sum(1 for _ in entries(here, "refs/hentou/journals/*", 1000)) == count
    told = here.git("count-objects", "-v").stdout.splitlines()
    assert int(told[0].removeprefix("count: ")) <= 20
    keys = {one.name: one.public for one in writers}
    assert {kept.entry.sequence for kept in newest_of(here, keys).values()} == {count // 3}
    other, missed = bench.behind(writers, here, tmp_path / "behind.git", days=2)
    got = ingest_all(other, here, {one.journal: one.tip for one in writers}, keys)
    assert (sum(got.new.values()), got.alarms) == (missed, ())
    assert not other.git("fsck", "--strict").stdout
    assert bench.taken(here.path) < 2 * 2**20
