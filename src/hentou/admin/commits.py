"""Commits in an admin's working copy: exactly the files that a command changed, whatever else is being edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hentou.admin.workcopy import WorkCopy
from hentou.effects.git import clean_environment
from hentou.effects.process import run


def commit(repository: Path, message: str, paths: Iterable[str]) -> str:
    """Commit these files (written, changed or removed; names from the top), and no others; the head's hash.

    Nothing changed means no new commit.
    """
    copy, names, env = WorkCopy(repository), sorted(set(paths)), clean_environment()
    git: list[str | Path] = ["git", "-C", repository]
    known = set(copy.git("ls-files", "-z", "--", *names).split("\0"))
    names = [name for name in names if name in known or (repository / name).exists()]
    # Without names, Git would take everything.
    if not names:
        return copy.head
    run([*git, "add", "--all", "--force", "--", *names], env=env)
    if run([*git, "diff", "--cached", "--quiet", "--", *names], check=False, env=env).status:
        run([*git, *_author(copy), "commit", "--quiet", "--message", message, "--only", "--", *names], env=env)
    return copy.head


@contextmanager
def all_or_nothing(repository: Path, *names: str) -> Iterator[None]:
    """Put these files, and every file of these folders, back as they were when what is done meanwhile fails, or is
    interrupted.
    """
    before = _files(repository, names)
    try:
        yield
    except BaseException:
        for file in _files(repository, names).keys() - before.keys():
            file.unlink()
        for file, data in before.items():
            if not file.exists() or file.read_bytes() != data:
                file.write_bytes(data)
        raise


def _files(repository: Path, names: Iterable[str]) -> dict[Path, bytes]:
    files = (file for name in names for file in (repository / name, *(repository / name).glob("*")))
    return {file: file.read_bytes() for file in files if file.is_file() and not file.is_symlink()}


def _author(copy: WorkCopy) -> list[str]:
    """Nothing where Git knows who works here, else a name: a commit's author proves nothing, signatures do."""
    return [] if copy.setting("user.email") else ["-c", "user.name=hentou", "-c", "user.email=hentou@localhost"]
