"""The few things hentou asks of git."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hentou.effects.process import run
from hentou.errors import HentouError

_AUTHOR = ("-c", "user.name=hentou lab", "-c", "user.email=lab@localhost", "-c", "commit.gpgsign=false")


def clean_environment() -> Mapping[str, str]:
    """An environment in which git reads the repository it is pointed at, and exactly what a commit holds.

    Inside a hook git's own variables name another repository. Replacement objects arrive by push like any ref, and
    would change what a signed commit seems to hold. A missing object is an error, never a program to fetch it with.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}


def init(repository: Path, *, bare: bool = False) -> None:
    """Make a repository with `main` as its branch; an existing one is left as it is.

    A bare one is a machine's: the collective's people are written in it, so that only its owner may read it.
    """
    run(["git", "init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []), repository])
    if bare:
        repository.chmod(0o700)


def commit_all(repository: Path, message: str) -> str:
    """Commit every change of a working copy; the hash of its head. Nothing changed means no new commit."""
    git: list[str | Path] = ["git", "-C", repository]
    run([*git, "add", "--all"])
    if run([*git, "diff", "--cached", "--quiet"], check=False).status:
        run([*git, *_AUTHOR, "commit", "--quiet", "--message", message])
    return resolve(repository, "HEAD")


def resolve(repository: Path, rev: str) -> str:
    """The hash of a revision's commit; HentouError when there is none.

    A branch goes before a tag of its name, unlike for git: who may push tags must not decide what `main` is.
    """
    if not repository.is_dir():
        raise HentouError(f"{repository} is not a directory", "give the directory of a collective")
    git = ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet"]
    said = ""
    # A name that starts with a hyphen would be read as an option.
    for name in (f"refs/heads/{rev}", rev) if rev and not rev.startswith("-") else ():
        found = run([*git, f"{name}^{{commit}}"], check=False, env=clean_environment())
        if not found.status:
            return found.stdout.strip()
        said = found.stderr.strip()
    # What git refuses to read at all, such as a repository of another account, it says on standard error.
    if "not a git repository" in said:
        raise HentouError(f"{repository} is not a Git repository", "make it one: `git init`, then commit")
    why = f": {said.splitlines()[0]}" if said else ""
    raise HentouError(f"{repository} has no revision {rev!r}{why}", "`git log --oneline --all` lists them")


def push(repository: Path, target: Path | str) -> None:
    """Push the head to `main` of another repository, which is made if it is a path where none is."""
    if isinstance(target, Path) and not (target / "HEAD").exists():
        init(target, bare=True)
    # The target may belong to another user when it lies inside a machine's root file system.
    safe = ("-c", "safe.directory=*")
    run(["git", *safe, "-C", repository, "push", "--quiet", str(target), "HEAD:refs/heads/main"])
