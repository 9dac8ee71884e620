"""Hand edits: held, shown, adopted as a patch that git takes, or overwritten with a copy kept."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from agent_world import FakeSystem, RecordingCalls, file, generation, host_at

from hentou.agent.activate import Exit, Options, activate
from hentou.agent.diff import difference
from hentou.agent.edits import adopt, chosen, edits, overwrite
from hentou.agent.gitpatch import git_patch
from hentou.agent.host import Host
from hentou.errors import HentouError
from hentou.generation.fragment import Unit
from hentou.generation.generation import Generation

UNIT = Unit("motd.service", triggers=("/etc/motd",))


def first() -> Generation:
    page, data = file("/srv/page.md", "a\nb\n", "site")
    return generation(
        file("/etc/motd", "hello\n"),
        (replace(page, copied_from="content/page.md"), data),
        file("/etc/other", "x"),
        units=(UNIT,),
    )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = host_at(tmp_path, FakeSystem())
    assert activate(host, first()).exit is Exit.ACTIVE
    return host


def test_an_edit_holds_and_is_shown(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("hello\nmine")
    outcome = activate(host, generation(file("/etc/motd", "new\n")))
    assert outcome.exit is Exit.HELD
    assert [held.path for held in outcome.plan.held] == ["/etc/motd"]
    assert "hentou adopt /etc/motd" in outcome.plan.held[0].hint
    assert difference(host, "/etc/motd").splitlines() == [
        "--- /etc/motd (generation)",
        "+++ /etc/motd (on disk)",
        "@@ -1 +1,2 @@",
        " hello",
        "+mine",
        "\\ No newline at end of file",
    ]
    assert (tmp_path / "etc/other").exists()


def test_binary_edits_are_told_not_printed(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_bytes(b"\0\xff")
    assert difference(host, "/etc/motd").startswith("binary files differ: 6 bytes in")


def test_an_adopted_edit_stays_until_the_repository_has_it(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("mine\n")
    adopt(host, chosen(host, ("/etc/motd",))[0])
    assert edits(host) == ()
    other = generation(file("/etc/motd", "hello\n"), file("/etc/other", "y"))
    assert activate(host, other).exit is Exit.ACTIVE
    assert (tmp_path / "etc/motd").read_text() == "mine\n"
    failing = FakeSystem(refused={"no.service"})
    host.system = failing
    bad = generation(file("/etc/motd", "hello\n"), file("/etc/other", "z"), units=(Unit("no.service"),))
    assert activate(host, bad).exit is Exit.UNDONE
    assert (tmp_path / "etc/motd").read_text() == "mine\n", "an undo keeps it too"
    assert activate(host, generation(file("/etc/motd", "mine\n"))).exit is Exit.ACTIVE
    assert host.store.state().adopted == {}
    assert activate(host, generation(file("/etc/motd", "later\n"))).exit is Exit.ACTIVE
    assert (tmp_path / "etc/motd").read_text() == "later\n"


def test_adopting_what_holds_a_generation_lets_it_through(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("mine\n")
    second = generation(file("/etc/motd", "new\n"), file("/etc/other", "y"))
    assert activate(host, second).exit is Exit.HELD
    adopt(host, chosen(host, ("/etc/motd",))[0])
    assert edits(host) == (), "neither the generation that runs nor the next one is in conflict"
    assert activate(host, second).exit is Exit.ACTIVE
    assert (tmp_path / "etc/motd").read_text() == "mine\n"
    assert (tmp_path / "etc/other").read_text() == "y"
    assert host.store.state().held == {}
    calls = RecordingCalls()
    assert "nothing to do" in activate(host_at(tmp_path, host.system, calls), second).message
    assert calls.writes == []
    assert activate(host, first(), Options(retry=True)).exit is Exit.ACTIVE, "the way back is open too"
    assert (tmp_path / "etc/motd").read_text() == "mine\n"
    assert activate(host, second).exit is Exit.ACTIVE
    third = generation(file("/etc/motd", "newer\n"), file("/etc/other", "y"))
    held = activate(host, third)
    assert (held.exit, held.plan.held[0].reason) == (
        Exit.HELD,
        "an adopted edit, and the repository now says something else",
    )
    overwrite(host, chosen(host, ("/etc/motd",), adopted=True))
    assert activate(host, third).exit is Exit.ACTIVE
    assert (tmp_path / "etc/motd").read_text() == "newer\n"


def test_an_edited_file_that_leaves_is_let_go_when_adopted(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("mine\n")
    without = generation(file("/etc/other", "y"))
    assert activate(host, without).exit is Exit.HELD
    assert adopt(host, chosen(host, ())[0]) == "", "no patch could bring it into a repository that dropped it"
    assert activate(host, without).exit is Exit.ACTIVE
    assert (tmp_path / "etc/motd").read_text() == "mine\n"
    state = host.store.state()
    assert (state.adopted, state.held) == ({}, {})


def test_a_hold_is_remembered_once(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("mine\n")
    second = generation(file("/etc/motd", "new\n"))
    activate(host, second)
    calls = RecordingCalls()
    assert activate(host_at(tmp_path, host.system, calls), second).exit is Exit.HELD
    assert calls.writes == []


def test_overwriting_keeps_a_copy_restarts_and_leaves_other_edits(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("mine\n")
    (tmp_path / "etc/other").write_text("also mine")
    system = host.system
    assert isinstance(system, FakeSystem)
    system.orders.clear()
    kept, outcome = overwrite(host, chosen(host, ("/etc/motd",)))
    assert outcome.exit is Exit.ACTIVE
    assert (tmp_path / kept[0].lstrip("/")).read_text() == "mine\n"
    assert (tmp_path / "etc/motd").read_text() == "hello\n"
    assert "restart motd.service" in system.orders
    assert (tmp_path / "etc/other").read_text() == "also mine"


def test_an_overwrite_that_fails_leaves_other_edits_too(tmp_path: Path, host: Host) -> None:
    (tmp_path / "etc/motd").write_text("mine\n")
    (tmp_path / "etc/other").write_text("also mine")
    system = host.system
    assert isinstance(system, FakeSystem)
    system.refused = {"motd.service"}
    _, outcome = overwrite(host, chosen(host, ("/etc/motd",)))
    assert outcome.exit is Exit.UNDONE
    assert (tmp_path / "etc/other").read_text() == "also mine"
    assert host.store.state().quarantined == {}


def test_choosing_what_is_not_edited_is_told(host: Host) -> None:
    with pytest.raises(HentouError, match="/etc/motd is as hentou wrote it"):
        chosen(host, ("/etc/motd",))
    with pytest.raises(HentouError, match="/etc/nothing is no file of the current generation"):
        chosen(host, ("/etc/nothing",))


def test_options_do_not_overwrite_by_default() -> None:
    assert Options().overwrite == frozenset()


@pytest.mark.parametrize(("before", "after"), [
    (b"a\nb\n", b"a\nc\n"),
    (b"a\nb", b"a\nb\n"),
    (b"a\n", b""),
    (b"", b"a\n"),
    (None, b"new\nfile"),
    (None, b""),
    (None, b"\0\1\2" * 500),
    (b"text\n", b"\0binary"),
    (b"\0" * 100, b"\0" * 99 + b"\1"),
    (b"a\r\nb\x0c\n", b"a\r\nc\x0c\n"),
    ("é\n".encode(), "è\n".encode()),
])  # fmt: skip
def test_git_applies_the_patch(tmp_path: Path, before: bytes | None, after: bytes) -> None:
    def git(*words: str, stdin: bytes = b"") -> None:
        done = subprocess.run(["git", "-C", tmp_path, *words], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    git("init", "--quiet")
    target = tmp_path / "overrides/m/etc/x"
    target.parent.mkdir(parents=True)
    if before is not None:
        target.write_bytes(before)
    git("add", "--all")
    git("apply", stdin=git_patch("overrides/m/etc/x", before, after).encode())
    assert target.read_bytes() == after


def test_patches_name_the_repository_s_own_file(tmp_path: Path, host: Host) -> None:
    (tmp_path / "srv/page.md").write_text("a\nc\n")
    (tmp_path / "etc/motd").write_text("mine\n")
    patches = [adopt(host, entry) for entry in chosen(host, ())]
    assert patches[0].startswith("diff --git a/overrides/kerminy-1/etc/motd b/overrides/kerminy-1/etc/motd\nnew file")
    assert patches[1].startswith("diff --git a/content/page.md b/content/page.md\n--- a/content/page.md\n")
