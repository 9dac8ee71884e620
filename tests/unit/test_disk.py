"""The disk as root uses it: no account leads its writes elsewhere, and nothing depends on the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hentou.effects.disk import Disk, DiskError, temporary

SOMEBODY = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another account")


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def lure(tmp_path: Path, owner: int) -> Path:
    """A folder that an account exchanged for a link to what is root's."""
    treasure = tmp_path / "treasure"
    treasure.mkdir(mode=0o700)
    (treasure / "kept").write_text("root's")
    (tmp_path / "srv").mkdir()
    link = tmp_path / "srv" / "site"
    link.symlink_to(treasure)
    os.chown(link, owner, owner, follow_symlinks=False)
    return treasure


@as_root
def test_a_link_of_an_account_is_never_followed(tmp_path: Path, disk: Disk) -> None:
    treasure = lure(tmp_path, SOMEBODY)
    attempts = (
        lambda: disk.write("/srv/site/kept", b"mine"),
        lambda: disk.write("/srv/site/new", b"mine"),
        lambda: disk.symlink("/srv/site/link", "/etc"),
        lambda: disk.remove("/srv/site/kept"),
        lambda: disk.make_directory("/srv/site/deep/folder"),
        lambda: disk.attributes("/srv/site", 0o777, SOMEBODY, SOMEBODY),
        lambda: disk.reserve("/srv/site/reserve", 10),
    )
    for attempt in attempts:
        with pytest.raises(DiskError):
            attempt()
    assert [path.name for path in treasure.iterdir()] == ["kept"]
    assert (treasure / "kept").read_text() == "root's"
    assert (treasure.stat().st_mode & 0o777, treasure.stat().st_uid) == (0o700, 0)


def test_links_of_root_s_own_are_followed(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib64").symlink_to("../lib")
    disk.write("/lib/a", b"1")
    disk.write("/usr/lib64/b", b"2")
    assert sorted(path.name for path in (tmp_path / "usr/lib").iterdir()) == ["a", "b"]


def test_links_in_a_circle_end(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DiskError, match="symbolic links"):
        disk.write("/a/x", b"")


def test_a_file_is_read_not_what_a_link_leads_to(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "link").symlink_to("secret")
    with pytest.raises(DiskError):
        disk.read("/link")


def test_a_directory_s_mode_is_not_given_to_what_a_link_leads_to(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("data")
    with pytest.raises(DiskError):
        disk.attributes("/link", 0o777, os.geteuid(), os.getegid())
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("narrow_umask")
def test_the_umask_changes_nothing(tmp_path: Path, disk: Disk) -> None:
    disk.make_directory("/etc/unbound/hentou")
    disk.write("/etc/unbound/hentou/a", b"", 0o644, os.geteuid(), os.getegid())
    for path, mode in (("etc/unbound", 0o755), ("etc/unbound/hentou", 0o755), ("etc/unbound/hentou/a", 0o644)):
        assert (tmp_path / path).stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "a" * 248])
def test_names_as_long_as_linux_takes(tmp_path: Path, disk: Disk, name: str) -> None:
    disk.write(f"/{name}", b"x", uid=os.geteuid(), gid=os.getegid())
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(temporary(f"/{name}").encode()) <= 256
