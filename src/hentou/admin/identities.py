"""Encrypt for public keys and decrypt by private ones: the age format by pyrage, with errors for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hentou.effects.git import clean_environment
from hentou.effects.plaintext import in_memory
from hentou.effects.process import run
from hentou.errors import HentouError

_AGE = "AGE-SECRET-KEY-1"
_PERSON = 300.0
"""Seconds in which a passphrase is typed."""


def own_key() -> Path:
    """Where an admin's own age key is, for those whose SSH keys age cannot use."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(configuration) / "hentou" / "age.key"


def usual(repository: Path) -> tuple[Path, ...]:
    """The files of private keys that are tried where none is given: those of these that are there."""
    home = Path.home() / ".ssh"
    said = run(
        ["git", "-C", repository, "config", "--type=path", "user.signingkey"], check=False, env=clean_environment()
    ).stdout.strip()
    signing = [Path(said.removesuffix(".pub"))] if said.startswith("/") else []
    found = dict.fromkeys((own_key(), *signing, home / "id_ed25519", home / "id_rsa"))
    return tuple(path for path in found if path.is_file())


def encrypt(value: bytes, keys: Iterable[str]) -> bytes:
    """A value encrypted for public keys: of age, or of SSH (ed25519 or RSA). HentouError for any other."""
    import pyrage  # type: ignore[import-untyped] # noqa: PLC0415 - most commands need none of it

    return bytes(pyrage.encrypt(value, [_recipient(key) for key in keys]))


def decrypt(
    name: str, ciphertext: bytes, files: Sequence[Path] | None, repository: Path, read_by: Sequence[str] = ()
) -> bytes:
    """A secret's value by the private keys in these files (None: the usual ones).

    Keys behind a passphrase come last, for somebody must type it. HentouError says whether no key fits, a key could
    not be used, or the file is damaged.
    """
    chosen = usual(repository) if files is None else tuple(files)
    faults: list[str] = []
    for opened in (_identities, unlocked):
        for file in chosen:
            try:
                value = _by(ciphertext, name, opened(file))
            except _UnusableError as fault:
                faults += [fault.message] if opened is unlocked or not fault.locked else []
            else:
                if value is not None:
                    return value
    raise _no_key(name, chosen, faults, read_by)


def _by(ciphertext: bytes, name: str, identities: Sequence[Any]) -> bytes | None:
    """The value by these keys; None when it is not encrypted for any of them."""
    import pyrage  # noqa: PLC0415

    if not identities:
        return None
    try:
        return bytes(pyrage.decrypt(ciphertext, identities))
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            return None
        hint = f"take it from an older commit: `git log -- secrets/{name}.age`"
        raise HentouError(f"secrets/{name}.age is damaged: {error}", hint) from None


class _UnusableError(HentouError):
    """A file of a private key that is none, or is `locked` behind a passphrase."""

    def __init__(self, message: str, *, locked: bool = False) -> None:
        super().__init__(message)
        self.locked = locked


def _identities(file: Path) -> list[Any]:
    try:
        return _parsed(file, file.read_bytes())
    except OSError as error:
        raise _UnusableError(f"{file}: {error.strerror}") from None


@cache
def _unlocked(file: Path) -> list[Any]:
    """The key in a file behind a passphrase, for which ssh-keygen asks at the terminal; once for this process."""
    sys.stderr.write(f"hentou needs the passphrase of {file}\n")
    with in_memory(file.read_bytes(), "key") as copy:
        done = run(["ssh-keygen", "-q", "-p", "-N", "", "-f", copy], check=False, timeout=_PERSON)
        if done.status:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no reason given"]
            raise _UnusableError(f"{file} was not unlocked: {said[0].replace(str(copy), str(file))}")
        return _parsed(file, copy.read_bytes())


def unlocked(file: Path) -> list[Any]:
    """The key in a file that is behind a passphrase, where somebody can type it; none for any other file."""
    try:
        _identities(file)
    except _UnusableError as fault:
        if not fault.locked:
            return []
        if not (sys.stdin.isatty() or "SSH_ASKPASS_REQUIRE" in os.environ):
            raise
        return _unlocked(file)
    return []


def _parsed(file: Path, data: bytes) -> list[Any]:
    import pyrage  # noqa: PLC0415

    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode(errors="replace").splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_AGE)]
    except pyrage.IdentityError as error:
        if "must be decrypted" in str(error):
            raise _UnusableError(f"{file} is behind a passphrase, and nobody is here to type it", locked=True) from None
        raise _UnusableError(f"{file} cannot be used by age: {error}") from None
    if not found:
        raise _UnusableError(f"{file} holds no private key that age can use")
    return found


def _recipient(key: str) -> Any:
    import pyrage  # noqa: PLC0415

    try:
        if key.startswith("age1"):
            return pyrage.x25519.Recipient.from_str(key)
        return pyrage.ssh.Recipient.from_str(" ".join(key.split()[:2]))
    except pyrage.RecipientError as error:
        hint = "add an age key to their file in people/ (`hentou secret key` makes one)"
        raise HentouError(f"nothing can be encrypted for {key[:40]}…: {error}", hint) from None


def _no_key(name: str, files: Sequence[Path], faults: Sequence[str], read_by: Sequence[str]) -> HentouError:
    people = dict.fromkeys(" ".join(note.split()[:2]) for note in read_by)
    tried = f"; tried {', '.join(map(str, files))}" if files else "; no private key was found"
    said = "".join(f"\n{fault}" for fault in faults)
    if faults:
        hint = (
            f"make an age key with `hentou secret key` ({own_key()}), and have another admin run `hentou secret rekey`"
        )
    else:
        hint = "give the file of a private key with --identity, or ask one of these"
    can = f" (it was encrypted for: {', '.join(people)})" if people else ""
    return HentouError(f"you cannot read {name}{can}{tried}{said}", hint)


def make_own() -> str:
    """The public half of this admin's own age key, which is made if there is none; HentouError if it is damaged."""
    from pyrage import x25519  # noqa: PLC0415

    file = own_key()
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(f"{x25519.Identity.generate()}\n")
    found = _identities(file)[0]
    if not isinstance(found, x25519.Identity):
        raise HentouError(f"{file} is no age key", "move it away, and run this again")
    return str(found.to_public())
