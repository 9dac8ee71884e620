"""Strike a stolen, dead or retired machine out of the collective: its keys are nobody's from the next step on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hentou import compose
from hentou.admin import secrets
from hentou.admin.blocks import without
from hentou.admin.commits import all_or_nothing, commit
from hentou.admin.enrol import member
from hentou.admin.workcopy import WorkCopy
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError, InvalidCollectiveError
from hentou.model.types import Collective


@dataclass(frozen=True)
class Struck:
    """What a strike did: the commit, the secrets that the machine could ever read, and those that could not be
    encrypted again without it by who struck it out, each with why.
    """

    commit: str
    known: tuple[str, ...]
    refused: Mapping[str, str]


def strike(
    repository: Path, machine: str, why: str, *, remove: bool = False, identities: Sequence[Path] | None = None
) -> Struck:
    """Take a machine's keys out of the collective in one commit, and encrypt its secrets again without it.

    Its description stays for a replacement of that name, unless `remove`. `identities` are private keys that read
    secrets (None: the usual ones); a secret that they cannot read is told, and hinders nothing. HentouError when the
    collective could not do without the machine; nothing is changed then.
    """
    collective = compose.load(DirectoryTree(repository))
    spec = member(collective, machine)
    file = repository / f"keys/{machine}.yaml"
    if machine not in collective.keys and not remove:
        raise HentouError(
            f"{machine} is not enrolled: it has no keys in the collective, so that nothing is to be struck out",
            "--remove takes it out of the description, if that is meant",
        )
    known = could_read(collective, machine)
    site = f"sites/{spec.site}.yaml"
    with all_or_nothing(repository, "keys", "secrets", "sites"):
        file.unlink(missing_ok=True)
        if remove:
            (repository / site).write_bytes(without(site, (repository / site).read_bytes(), "machines", machine))
        granted = secrets.regrant(repository, identities)
        _check(repository, machine)
    WorkCopy(repository).git("config", "--local", "--remove-section", f"hentou.{machine}", check=False)
    files = (f"keys/{machine}.yaml", *((site,) if remove else ()), *granted.files)
    return Struck(commit(repository, f"Strike out {machine}: {why}", files), known, granted.refused)


def could_read(collective: Collective, machine: str) -> tuple[str, ...]:
    """Secrets whose present value was ever encrypted for a machine, in the order of names."""
    start = f"machine {machine} "
    return tuple(sorted(s.name for s in collective.secrets.values() if any(n.startswith(start) for n in s.read_by)))


def _check(repository: Path, machine: str) -> None:
    try:
        compose.load(DirectoryTree(repository))
    except InvalidCollectiveError as error:
        hint = f"correct that first: something still needs {machine}, or a secret could not be encrypted again"
        raise HentouError(error.message, hint) from error
