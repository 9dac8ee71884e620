"""Differences that `git apply` accepts, for text and for bytes. Pure."""

from __future__ import annotations

import zlib
from base64 import b85encode
from hashlib import sha1

from hentou.agent.diff import is_text, unified

_NOTHING = "0" * 40


def git_patch(path: str, before: bytes | None, after: bytes) -> str:
    """The change of one repository file; `before` is None for a new one."""
    head = [f"diff --git a/{path} b/{path}"]
    if before is None:
        head.append("new file mode 100644")
    if not (is_text(before or b"") and is_text(after)):
        return "\n".join([*head, *_binary(before, after)]) + "\n"
    old = "/dev/null" if before is None else f"a/{path}"
    return "\n".join(head) + "\n" + unified(before or b"", after, old, f"b/{path}")


def _binary(before: bytes | None, after: bytes) -> list[str]:
    mode = " 100644" if before is not None else ""
    old = _NOTHING if before is None else _blob(before)
    index = f"index {old}..{_blob(after)}{mode}"
    return [index, "GIT binary patch", *_literal(after), "", *_literal(before or b""), ""]


def _literal(data: bytes) -> list[str]:
    packed = zlib.compress(data)
    lines = [f"literal {len(data)}"]
    for start in range(0, len(packed), 52):
        chunk = packed[start : start + 52]
        # One letter says how many bytes the line holds: A to Z for 1 to 26, a to z for 27 to 52.
        length = chr(ord("A") + len(chunk) - 1) if len(chunk) <= 26 else chr(ord("a") + len(chunk) - 27)
        lines.append(length + b85encode(chunk + b"\0" * (-len(chunk) % 4)).decode())
    return lines


def _blob(data: bytes) -> str:
    """A Git blob's name; SHA-1 is Git's own choice and protects nothing here."""
    return sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
