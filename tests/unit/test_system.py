"""What is asked of Debian, and what becomes of packages that a power cut left half-way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hentou.effects.disk import Disk
from hentou.effects.process import CommandError, Result, run
from hentou.effects.system import InstallError, System


class Apt:
    """apt-get and dpkg, of which dpkg was interrupted."""

    def __init__(self, *, mends: bool) -> None:
        self.mends = mends
        self.interrupted = True
        self.asked: list[str] = []

    def __call__(self, command: Sequence[str], *, env: dict[str, str], **_: Any) -> Result:
        assert env["HENTOU_INSTALLS"] == "1"
        self.asked.append(" ".join(word for word in command if not word.startswith("-") or word == "--configure"))
        if command[0] == "dpkg":
            self.interrupted = not self.mends
        failed = command[1] == "install" and self.interrupted
        return Result(tuple(command), 100 if failed else 0, "", "E: dpkg was interrupted\n" if failed else "")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    return Disk(tmp_path)


def test_an_interrupted_dpkg_is_mended(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(mends=True)
    monkeypatch.setattr("hentou.effects.system.run", apt)
    System().install(["hugo", "nginx-light"], disk)
    installs = "apt-get install hugo nginx-light"
    assert apt.asked == [installs, "dpkg --configure", "apt-get update", installs]
    assert disk.names("/usr/sbin") == [], "services may start again"


def test_what_cannot_be_had_is_told(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hentou.effects.system.run", Apt(mends=False))
    with pytest.raises(InstallError, match="cannot install hugo: E: dpkg was interrupted"):
        System().install(["hugo"], disk)
    assert disk.names("/usr/sbin") == []


def test_a_program_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program")
    for program, status in ((text, 126), (tmp_path / "nothing", 127)):
        assert run([program], check=False).status == status
        with pytest.raises(CommandError, match=str(program)):
            run([program])
