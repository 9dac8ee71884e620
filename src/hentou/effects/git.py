"""The few things hentou asks of git."""

from __future__ import annotations

from pathlib import Path

from hentou.effects.process import run

_AUTHOR = ("-c", "user.name=hentou lab", "-c", "user.email=lab@localhost", "-c", "commit.gpgsign=false")


def init(repository: Path, *, bare: bool = False) -> None:
    """Make a repository with `main` as its branch; an existing one is left as it is."""
    run(["git", "init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []), repository])


def commit_all(repository: Path, message: str) -> str:
    """Commit every change of a working copy; the hash of its head. Nothing changed means no new commit."""
    git: list[str | Path] = ["git", "-C", repository]
    run([*git, "add", "--all"])
    if run([*git, "diff", "--cached", "--quiet"], check=False).status:
        run([*git, *_AUTHOR, "commit", "--quiet", "--message", message])
    return head(repository)


def head(repository: Path, rev: str = "HEAD") -> str:
    """The hash of a revision's commit."""
    return run(["git", "-C", repository, "rev-parse", "--verify", f"{rev}^{{commit}}"]).stdout.strip()


def push(repository: Path, target: Path | str) -> None:
    """Push the head to `main` of another repository, which is made if it is a path where none is."""
    if isinstance(target, Path) and not (target / "HEAD").exists():
        init(target, bare=True)
    # The target may belong to another user when it lies inside a machine's root file system.
    safe = ("-c", "safe.directory=*")
    run(["git", *safe, "-C", repository, "push", "--quiet", str(target), "HEAD:refs/heads/main"])
