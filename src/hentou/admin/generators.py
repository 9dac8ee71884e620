"""New values of secrets: random, and never less than what their kind needs."""

from __future__ import annotations

import secrets
import string
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hentou.model.secrets import generator

_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aiou"
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Made:
    """A new value, and its public half where there is one. `repr` shows neither."""

    value: bytes
    public: str = ""

    def __repr__(self) -> str:
        """Nothing that a traceback or a log could betray."""
        return "Made(…)"


def make(spec: str) -> Made:
    """A new value by a generator such as `password 24`, `passphrase 6` (16 bits a word), `hex 32` (bytes), `age`."""
    kind, count = generator(spec)
    return _MAKERS[kind](count)


def _password(count: int) -> Made:
    return Made("".join(secrets.choice(_LETTERS) for _ in range(count)).encode())


def _passphrase(count: int) -> Made:
    return Made("-".join(_word(secrets.randbits(16)) for _ in range(count)).encode())


def _word(number: int) -> str:
    """Sixteen bits as a word that can be said aloud (D. S. Wilkerson, "A Proposal for Proquints", 2009)."""
    letters = []
    for position, (shift, alphabet) in enumerate(
        ((12, _CONSONANTS), (10, _VOWELS), (6, _CONSONANTS), (4, _VOWELS), (0, _CONSONANTS))
    ):
        letters.append(alphabet[number >> shift & (15 if position % 2 == 0 else 3)])
    return "".join(letters)


def _hex(count: int) -> Made:
    return Made(secrets.token_hex(count).encode())


def _base64(count: int) -> Made:
    return Made(b64encode(secrets.token_bytes(count)))


def _ssh(_: int) -> Made:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - half a second, seldom needed
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return Made(private, public.decode())


def _age(_: int) -> Made:
    from pyrage import x25519  # type: ignore[import-untyped] # noqa: PLC0415

    key = x25519.Identity.generate()
    return Made(f"{key}\n".encode(), str(key.to_public()))


def _wireguard(_: int) -> Made:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415

    key = X25519PrivateKey.generate()
    public = b64encode(key.public_key().public_bytes_raw()).decode()
    return Made(b64encode(key.private_bytes_raw()) + b"\n", public)


_MAKERS: Mapping[str, Callable[[int], Made]] = {
    "password": _password,
    "passphrase": _passphrase,
    "hex": _hex,
    "base64": _base64,
    "ssh-ed25519": _ssh,
    "age": _age,
    "wireguard": _wireguard,
}
