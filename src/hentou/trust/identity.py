"""What a machine says of itself when it asks to be enrolled, and the short code by which people compare it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hentou.errors import HentouError
from hentou.trust.canonical import encode

FIELDS = ("machine", "wireguard", "ssh_host", "journal", "age", "csr")
"""The public halves of its keys; `csr` asks for a certificate of its issuing authority (PKCS #10, PEM)."""

LONGEST = 16384
"""Bytes of all of them as JSON; they take 1,500."""

_HINT = "ask the machine again: `hentou identity --json`, as root there"


def fingerprint(said: Mapping[str, object]) -> str:
    """SHA-256 over the public halves, such as `SHA256:qyV6…`; HentouError when one is missing or no text."""
    return f"SHA256:{base64.b64encode(_digest(said)).decode().rstrip('=')}"


def code(said: Mapping[str, object]) -> str:
    """The first 80 bits of the fingerprint as people read them to each other: `k7tq-2m5c-…`, four groups of four.

    Whoever stands in the way would need 2^80 tries to make other keys that have the same code.
    """
    letters = base64.b32encode(_digest(said)[:10]).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, 16, 4))


def plain(typed: str) -> str:
    """A code as it was typed, without what does not count: case, spaces, hyphens."""
    return "".join(letter for letter in typed.lower() if letter.isalnum())


def _digest(said: Mapping[str, object]) -> bytes:
    public: dict[str, object] = {}
    for name in FIELDS:
        value = said.get(name)
        if not isinstance(value, str) or not value or len(value) > LONGEST:
            raise HentouError(f"an identity without its {name!r}", _HINT)
        public[name] = value
    # The request's own signature is another one each time; the key that it asks for stays.
    public["issuer"] = _issuer(str(public.pop("csr")))
    return sha256(encode(public)).digest()


def _issuer(request_pem: str) -> str:
    try:
        public = x509.load_pem_x509_csr(request_pem.encode()).public_key()
    except ValueError as error:
        raise HentouError("an identity whose certificate request cannot be read", _HINT) from error
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()
