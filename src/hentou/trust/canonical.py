"""JSON with exactly one spelling, so that what is signed can be read again only as what was meant."""

from __future__ import annotations

import json
from typing import Any

from hentou.errors import HentouError


class NotCanonicalError(HentouError):
    """Bytes that are no canonical JSON object, or are longer than they may be."""


def encode(value: dict[str, Any]) -> bytes:
    """An object as UTF-8 JSON: keys sorted, no spaces, nothing escaped that need not be, no final newline.

    Close to RFC 8785, without its numbers: integers are the only ones allowed.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(data: bytes, limit: int) -> dict[str, Any]:
    """The object that `encode` made these bytes from; NotCanonicalError for any other bytes."""
    if len(data) > limit:
        raise NotCanonicalError(f"{len(data)} bytes, where at most {limit} are read")
    try:
        value = json.loads(data)
        same = isinstance(value, dict) and encode(value) == data
    # Deep nesting ends in RecursionError, a lone surrogate in UnicodeEncodeError, which is a ValueError.
    except (ValueError, RecursionError) as error:
        raise NotCanonicalError(f"no canonical JSON: {error}") from error
    if not same:
        raise NotCanonicalError("no canonical JSON: it is spelt in another way")
    return value  # type: ignore[no-any-return] # `same` says that it is a dictionary


def _check(value: Any) -> None:
    match value:
        case float():
            raise ValueError("a number that is no integer")
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise ValueError("a key that is no text")
            for item in value.values():
                _check(item)
        case list() | tuple():
            for item in value:
                _check(item)
