"""Signatures of hardware keys, by a key that is none: what OpenSSH finds good, and what counts here."""

from __future__ import annotations

import struct
from base64 import b64encode
from hashlib import sha256, sha512
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hentou.effects import sshsig
from hentou.effects.process import run
from hentou.trust.roster import fingerprint
from hentou.trust.statement import NAMESPACE

KIND = b"sk-ssh-ed25519@openssh.com"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DATA = b"a statement"
TOUCHED, VERIFIED = 0x01, 0x04


def text(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


BLOB = text(KIND) + text(KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)) + text(b"ssh:")
PRINT = fingerprint(f"{KIND.decode()} {b64encode(BLOB).decode()}")


def signed(flags: int, more: bytes = b"") -> str:
    """What a token signs, with its flags (PROTOCOL.u2f, PROTOCOL.sshsig of OpenSSH)."""
    message = b"SSHSIG" + text(NAMESPACE.encode()) + text(b"") + text(b"sha512") + text(sha512(DATA).digest())
    seen = struct.pack(">BI", flags, 7)
    raw = KEY.sign(sha256(b"ssh:").digest() + seen + sha256(message).digest())
    whole = b"SSHSIG" + struct.pack(">I", 1) + text(BLOB) + text(NAMESPACE.encode()) + text(b"") + text(b"sha512")
    return armour(whole + text(text(KIND) + text(raw) + seen) + more)


def armour(data: bytes) -> str:
    code = b64encode(data).decode()
    lines = "\n".join(code[start : start + 70] for start in range(0, len(code), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


@pytest.mark.parametrize("flags", [TOUCHED, TOUCHED | VERIFIED])
def test_a_touched_token_counts(flags: int) -> None:
    assert sshsig.good_keys(DATA, [signed(flags)], NAMESPACE) == {PRINT}
    assert not sshsig.good_keys(DATA + b".", [signed(flags)], NAMESPACE)
    assert not sshsig.good_keys(DATA, [signed(flags)], "git")


@pytest.mark.parametrize("flags", [0, VERIFIED])
def test_a_token_that_nobody_touched_counts_for_nothing(flags: int, tmp_path: Path) -> None:
    """Whoever has a laptop with its token plugged in can have it sign so; OpenSSH leaves the judgement to others."""
    file = tmp_path / "sig"
    file.write_text(signed(flags))
    command = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", file]
    assert run(command, stdin=DATA).status == 0
    assert not sshsig.good_keys(DATA, [signed(flags)], NAMESPACE)


def test_what_is_hung_on_behind_touches_nothing() -> None:
    assert not sshsig.good_keys(DATA, [signed(0, text(b"\x01" * 9)), signed(0, b"\x01\0\0\0\0")], NAMESPACE)


def test_no_bytes_of_others_are_too_strange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    for strange in ("\ufffd", "\ud800", "\0", "é"):
        assert not sshsig.good_keys(DATA, [f"-----BEGIN SSH SIGNATURE-----\n{strange}", strange], NAMESPACE)


def test_damaged_signatures_are_no_signatures() -> None:
    whole = signed(TOUCHED)
    for length in range(0, len(whole), 23):
        assert sshsig.good_keys(DATA, [whole[:length]], NAMESPACE) <= {PRINT}
    for data in (b"", b"SSHSIG", b"SSHSIG\0\0\0\1\xff\xff\xff\xff", b"\0" * 100):
        assert not sshsig.good_keys(DATA, [armour(data)], NAMESPACE)
