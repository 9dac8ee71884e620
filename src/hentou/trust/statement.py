"""A statement: which commit the collective's machines are to follow next, in words that admins sign."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from hentou.errors import HentouError
from hentou.trust.canonical import NotCanonicalError, decode, encode

FORMAT = "hentou statement 1"
NAMESPACE = "statement@hentou"
"""For `ssh-keygen -Y`: a signature made for anything else is none here."""

REF = "refs/heads/main"
LONGEST = 4096
"""Bytes of one statement; it has no need of more."""

_REPOSITORY = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NUMBER = 2**53


class BadStatementError(HentouError):
    """Bytes that are no statement."""


@dataclass(frozen=True)
class Statement:
    """`head` is what branch `ref` of `repository` is, as the `sequence`th step of its history.

    `previous` holds the digests of the statements that it continues: none for the first, one usually, several where
    it joins what was signed apart. `epoch` is the epoch of the roster in `head`. Dates would prove nothing.
    """

    repository: str
    sequence: int
    previous: tuple[str, ...]
    head: str
    epoch: int
    ref: str = REF

    @cached_property
    def data(self) -> bytes:
        """The canonical bytes, which are what is signed."""
        record = {
            "format": FORMAT,
            "repository": self.repository,
            "ref": self.ref,
            "sequence": self.sequence,
            "previous": list(self.previous),
            "head": self.head,
            "epoch": self.epoch,
        }
        return encode(record)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal."""
        return sha256(self.data).hexdigest()

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """The statement whose canonical bytes these are; BadStatementError when they are those of none."""
        try:
            record = decode(data, LONGEST)
        except NotCanonicalError as error:
            raise BadStatementError(f"a statement that cannot be read: {error.message}") from error
        if record.pop("format", None) != FORMAT:
            raise BadStatementError(f"a statement of another format than {FORMAT!r}", "update hentou on this machine")
        try:
            found = cls(**{**record, "previous": tuple(record["previous"])})
            sound = found._is_sound()
        except (TypeError, KeyError) as error:
            raise BadStatementError("a statement with missing, unknown or wrong fields") from error
        if not sound or found.data != data:
            raise BadStatementError("a statement with missing, unknown or wrong fields")
        return found

    def _is_sound(self) -> bool:
        numbers = all(type(n) is int and 1 <= n < _NUMBER for n in (self.sequence, self.epoch))
        texts = _matches(_REPOSITORY, self.repository) and _matches(_COMMIT, self.head) and isinstance(self.ref, str)
        earlier = all(_matches(_DIGEST, digest) for digest in self.previous)
        ordered = list(self.previous) == sorted(set(self.previous)) if earlier else False
        return numbers and texts and ordered and bool(self.previous) == (self.sequence > 1)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
