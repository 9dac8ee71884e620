"""Signatures by OpenSSH (`ssh-keygen -Y`, PROTOCOL.sshsig), so that hardware keys and agents work."""

from __future__ import annotations

import os
import re
import struct
import tempfile
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path

from hentou.effects.process import run
from hentou.errors import HentouError

LONGEST = 16384
"""Bytes of one armoured signature; RSA with 16384 bits makes 3 KB."""

_ARMOUR = "-----BEGIN SSH SIGNATURE-----"
_GOOD = re.compile(r'^Good "[^"]+" signature with \S+ key (SHA256:[A-Za-z0-9+/]+)$', re.MULTILINE)
_PRESENT = 1
"""The flag by which a hardware key says that somebody touched it."""

_PATIENCE = 20.0
_PERSON = 300.0
"""Seconds: a passphrase must be typed, or a hardware key touched."""


def sign(key: Path, namespace: str, data: bytes) -> str:
    """Sign with a private key, or with the agent's or hardware's where `key` is a public one; the armoured signature.

    HentouError when OpenSSH refuses.
    """
    with tempfile.TemporaryDirectory(prefix="hentou-") as folder:
        file = Path(folder) / "data"
        file.write_bytes(data)
        done = run(["ssh-keygen", "-Y", "sign", "-f", key, "-n", namespace, file], check=False, timeout=_PERSON)
        if done.status:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no reason given"]
            hint = f"try it alone: ssh-keygen -Y sign -f {key} -n {namespace} FILE; `ssh-add -l` lists the agent's keys"
            raise HentouError(f"ssh-keygen did not sign with {key}: {said[0]}", hint)
        return (Path(folder) / "data.sig").read_text()


def good_keys(data: bytes, signatures: Iterable[str], namespace: str) -> frozenset[str]:
    """The fingerprints of the keys whose signatures over these bytes are good; whose they are is not asked here.

    Of hardware keys only those count that somebody touched.
    """
    return frozenset(filter(None, (_good_key(data, signature, namespace) for signature in signatures)))


def _good_key(data: bytes, signature: str, namespace: str) -> str:
    if len(signature) > LONGEST or not signature.startswith(_ARMOUR):
        return ""
    # Root's own place where there is one: whoever fills /tmp must not keep a machine from hearing its admins.
    place = "/run" if os.access("/run", os.W_OK) else None
    with tempfile.NamedTemporaryFile(prefix="hentou-", suffix=".sig", dir=place) as file:
        # Whatever the locale is: somebody else wrote this.
        file.write(signature.encode(errors="replace"))
        file.flush()
        command = ["ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", file.name]
        done = run(command, stdin=data, check=False, timeout=_PATIENCE)
    found = _GOOD.search(done.stdout)
    return found[1] if found and not done.status and _touched(signature) else ""


def _touched(signature: str) -> bool:
    """Whether somebody touched the hardware key that made a good signature; true for keys of other kinds.

    OpenSSH checks that the key signed its flags, but leaves to the caller what they must be: whoever has taken over a
    laptop could have its token sign with nobody near it. Layout: PROTOCOL.sshsig, PROTOCOL.u2f.
    """
    code = signature.partition(_ARMOUR)[2].partition("-----END")[0]
    try:
        # After the magic and the version: public key, namespace, reserved, hash, signature.
        key, *_, made = _texts(b64decode(code)[10:], 5)[0]
        if not _texts(key, 1)[0][0].startswith(b"sk-"):
            return True
        # Behind its kind and the signature proper: one byte of flags, then a counter.
        return bool(_texts(made, 2)[1][0] & _PRESENT)
    except (ValueError, IndexError, struct.error):
        return False


def _texts(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """So many texts, each behind its length, and the rest."""
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data)
        if size > len(data) - 4:
            raise ValueError("cut short")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found, data
