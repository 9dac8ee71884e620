"""The collective's certificate authority: its certificate in the repository, its key with the admins alone.

The key is the repository's secret `authority`, which no machine can read. Where no admin has a key that secrets can be
encrypted for (hardware keys without an age key beside), it lies in the working copy's Git directory instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hentou import compose
from hentou.admin import secrets
from hentou.admin.workcopy import WorkCopy
from hentou.effects import clock
from hentou.effects.disk import Disk
from hentou.effects.tree import DirectoryTree
from hentou.errors import HentouError
from hentou.model.secrets import AUTHORITY, keys_of, value_file, yaml_file
from hentou.trust import pki

CERTIFICATE = "keys/authority.pem"
SECRET = AUTHORITY
FILES = (CERTIFICATE, value_file(SECRET), yaml_file(SECRET))
"""What an authority is in the repository."""

KEPT = "hentou/authority.key"
"""In the Git directory, where no secret can hold it."""


class Authority(NamedTuple):
    """Both as PEM; `made` names the files of the repository that it may have been written to, for a commit."""

    key: bytes
    certificate: bytes
    made: tuple[str, ...] = FILES


def authority(repository: Path, identities: Sequence[Path] | None = None, now: datetime | None = None) -> Authority:
    """The authority's key and certificate; both are made where the collective has none yet, and wait for a commit.

    `identities` are private keys that read secrets (None: the usual ones). HentouError when none of them does.
    """
    certificate, kept = repository / CERTIFICATE, Path(WorkCopy(repository).file(KEPT))
    if kept.exists():
        key = kept.read_bytes()
    elif (repository / value_file(SECRET)).exists():
        key = secrets.read(repository, SECRET, identities)
    elif certificate.exists():
        raise HentouError(
            f"{CERTIFICATE} is there, but its key is not in this repository",
            f"have it from the admin who made it: `hentou secret set {SECRET}`, or as {kept}",
        )
    else:
        key = _make(repository)
    if not pki.is_key(key):
        raise HentouError(
            f"the secret {SECRET} is no private key in the PEM format, so nothing can be certified",
            f"have its former value back: `git log -- {value_file(SECRET)}` tells the commits that have it",
        )
    if not certificate.exists():
        name = compose.load(DirectoryTree(repository)).spec.name
        _write(certificate, pki.new_authority(name, key, now or clock.now()))
    return Authority(key, certificate.read_bytes())


def keep(repository: Path, value: bytes = b"") -> None:
    """HentouError when `value` is not the key of the authority's certificate, which alone its secret may hold."""
    file = repository / CERTIFICATE
    if not (value and file.exists() and pki.belongs(value, file.read_bytes())):
        raise HentouError(
            f"{SECRET} belongs to {CERTIFICATE}: another value would be no authority",
            "only a new authority replaces it: see docs/how-to/keep-a-secret.md",
        )


def _make(repository: Path) -> bytes:
    """A new key, kept where only admins can read it."""
    key = pki.new_key()
    collective = compose.load(DirectoryTree(repository))
    able = tuple(admin for admin in sorted(collective.roster.admins) if keys_of(collective, admin))
    everyone = len(able) == len(collective.roster.admins)
    try:
        secrets.put(repository, SECRET, key, admins=None if everyone else able)
    except HentouError:
        WorkCopy(repository).write(KEPT, key)
    return key


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    owner = file.parent.stat()
    Disk().replace(str(file.absolute()), data, 0o644, owner.st_uid, owner.st_gid)
