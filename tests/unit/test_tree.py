"""A repository's files, from a directory, a Git revision or memory: the same, and nothing is followed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hentou.effects.process import run
from hentou.effects.tree import DEEPEST, DirectoryTree, GitTree, open_tree
from hentou.errors import HentouError
from hentou.model.memory import MemoryTree

FILES = {
    "README.md": b"Hello\n",
    "content/image.bin": bytes(range(256)) * 3,
    "content/empty": b"",
    "people/ma\u00efwenn.txt": b"x",
    "sites/kerminy.yaml": "title: Kerminy à Rosporden\n".encode(),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, data in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "python").symlink_to("/usr/bin/python3")
    return tmp_path


def git(root: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    return run(["git", "-C", root, *identity, *words]).stdout.strip()


def commit(root: Path) -> str:
    git(root, "init", "--quiet")
    git(root, "add", "--all", "--force")
    git(root, "commit", "--quiet", "--message", "x")
    return git(root, "rev-parse", "HEAD")


def held(tree: DirectoryTree | GitTree | MemoryTree) -> dict[str, bytes]:
    return {path: tree.read(path) for path in tree.files()}


def test_every_kind_of_tree_holds_the_same(root: Path) -> None:
    commit(root)
    bare = root.parent / f"{root.name}.git"
    run(["git", "clone", "--quiet", "--bare", root, bare])
    for tree in (DirectoryTree(root), GitTree(root, "HEAD"), GitTree(bare, "HEAD"), MemoryTree(FILES)):
        assert held(tree) == FILES
        assert list(tree.files()) == sorted(FILES)
        assert list(tree.strays()) == []


def test_a_revision_is_not_the_directory_of_today(root: Path) -> None:
    first = commit(root)
    (root / "README.md").write_bytes(b"Changed\n")
    assert open_tree(root, first).read("README.md") == b"Hello\n"
    assert open_tree(root).read("README.md") == b"Changed\n"


def test_a_directory_inside_a_working_copy(root: Path) -> None:
    commit(root)
    assert list(GitTree(root / "content", "HEAD").files()) == ["empty", "image.bin"]


@pytest.mark.parametrize("rev", ["nothing", "--help", "HEAD:README.md", ""])
def test_a_revision_that_does_not_exist(root: Path, rev: str) -> None:
    commit(root)
    with pytest.raises(HentouError, match="no revision"):
        list(GitTree(root, rev).files())


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    for tree in (DirectoryTree(tmp_path / "x"), GitTree(tmp_path / "x", "HEAD")):
        with pytest.raises(HentouError, match="not a directory"):
            list(tree.files())


def test_links_pipes_and_sockets_are_named_and_never_followed(root: Path) -> None:
    (root / "content" / "out").symlink_to("/etc")
    (root / "content" / "loop").symlink_to(root)
    (root / "content" / "self").symlink_to("self")
    (root / "sites" / "secret.yaml").symlink_to("/etc/shadow")
    os.mkfifo(root / "sites" / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "sock"))
        tree = DirectoryTree(root)
        assert list(tree.files()) == sorted(FILES)
        assert list(tree.strays()) == [
            ("content/loop", "a symbolic link"),
            ("content/out", "a symbolic link"),
            ("content/self", "a symbolic link"),
            ("sites/pipe.yaml", "a named pipe"),
            ("sites/secret.yaml", "a symbolic link"),
            ("sock", "a socket"),
        ]
        for path in ("content/out/passwd", "content/loop/README.md", "sites/secret.yaml", "sites/pipe.yaml"):
            with pytest.raises(HentouError, match=path):
                tree.read(path)


def test_a_revision_names_its_links_and_submodules(root: Path) -> None:
    (root / "content" / "out").symlink_to("/etc")
    inner = root / "content" / "inner"
    inner.mkdir()
    (inner / "file").write_text("x")
    commit(inner)
    commit(root)
    tree = GitTree(root, "HEAD")
    assert list(tree.strays()) == [("content/inner", "a submodule"), ("content/out", "a symbolic link")]
    with pytest.raises(HentouError, match="no regular file"):
        tree.read("content/out")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "content/../README.md", "./README.md", "", "content"])
def test_paths_that_lead_elsewhere(root: Path, path: str) -> None:
    commit(root)
    for tree in (DirectoryTree(root), GitTree(root, "HEAD"), MemoryTree(FILES)):
        with pytest.raises(HentouError):
            tree.read(path)


def test_a_file_longer_than_it_may_be(root: Path) -> None:
    commit(root)
    for tree in (DirectoryTree(root), GitTree(root, "HEAD"), MemoryTree(FILES)):
        assert len(tree.read("content/image.bin", 768)) == 768
        with pytest.raises(HentouError, match="larger than 767 bytes"):
            tree.read("content/image.bin", 767)


def test_a_name_that_is_no_text(root: Path) -> None:
    (root / "content" / os.fsdecode(b"\xff.md")).write_text("x")
    commit(root)
    for tree in (DirectoryTree(root), GitTree(root, "HEAD")):
        assert list(tree.files()) == sorted(FILES)
        ((_, what),) = tree.strays()
        assert what == "a file whose name is not UTF-8"


def test_folders_without_end(root: Path) -> None:
    deep = root / "content" / "/".join(["a"] * (DEEPEST + 5))
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    ((path, what),) = DirectoryTree(root).strays()
    assert path.count("/") == DEEPEST
    assert what.startswith("a folder deeper than")


def plumb(root: Path, *words: str, stdin: str = "") -> str:
    return run(["git", "-C", root, *words], stdin=stdin).stdout.strip()


@pytest.mark.parametrize("name", ["..", ".", "a\nb.md", "a\x1b[2J"])
def test_names_that_git_s_own_commands_do_not_make(root: Path, name: str) -> None:
    commit(root)
    blob = plumb(root, "hash-object", "-w", "--stdin", stdin="root::0:0::/root:/bin/sh\n")
    inner = _raw_tree(root, f"100644 {name}\0", blob) if name not in ("..", ".") else None
    evil = inner or _raw_tree(root, f"40000 {name}\0", _raw_tree(root, "100644 passwd\0", blob))
    content = _raw_tree(root, "40000 content\0", evil)
    rev = git(root, "commit-tree", content, "-m", "x")
    tree = GitTree(root, rev)
    assert list(tree.files()) == []
    ((shown, what),) = tree.strays()
    assert what in ("a name that leads elsewhere", "a file whose name holds control characters")
    assert shown.isprintable()


def _raw_tree(root: Path, entry: str, object_id: str) -> str:
    """A tree object of one entry, whose name nobody judges."""
    command = ["git", "-C", root, "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    return run(command, stdin=entry.encode() + bytes.fromhex(object_id)).stdout.strip()


def test_a_tag_does_not_stand_for_a_branch(root: Path) -> None:
    right = commit(root)
    git(root, "branch", "--move", "--force", "main")
    (root / "README.md").write_bytes(b"Mine\n")
    git(root, "commit", "--quiet", "--all", "--message", "y")
    wrong = git(root, "rev-parse", "HEAD")
    git(root, "reset", "--quiet", "--hard", right)
    git(root, "tag", "main", wrong)
    tree = GitTree(root, "main")
    assert (tree.commit, tree.read("README.md")) == (right, b"Hello\n")


def test_replacement_objects_change_nothing(root: Path) -> None:
    right = commit(root)
    (root / "README.md").write_bytes(b"Mine\n")
    git(root, "commit", "--quiet", "--all", "--message", "y")
    git(root, "replace", right, "HEAD")
    assert GitTree(root, right).read("README.md") == b"Hello\n"


def test_the_variables_of_a_hook_lead_nowhere_else(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(root)
    other = tmp_path_factory.mktemp("other")
    (other / "README.md").write_text("Other\n")
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert GitTree(root, "HEAD").read("README.md") == b"Hello\n"


def test_a_branch_that_moves_meanwhile_changes_nothing(root: Path) -> None:
    first = commit(root)
    tree = GitTree(root, "HEAD")
    assert tree.commit == first
    (root / "README.md").write_bytes(b"Later\n")
    git(root, "commit", "--quiet", "--all", "--message", "y")
    assert (tree.commit, tree.read("README.md")) == (first, b"Hello\n")


def test_files_without_number(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(root)
    monkeypatch.setattr("hentou.effects.tree.MOST", 4)
    for tree in (DirectoryTree(root), GitTree(root, "HEAD")):
        with pytest.raises(HentouError, match="more than 4 files"):
            list(tree.files())
