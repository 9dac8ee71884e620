"""Signatures by OpenSSH (`ssh-keygen -Y`, PROTOCOL.sshsig), so that hardware keys and agents work."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hentou.effects.process import run
from hentou.errors import HentouError

LONGEST = 16384
"""Bytes of one armoured signature; RSA with 16384 bits makes 3 KB."""

_ARMOUR = "-----BEGIN SSH SIGNATURE-----"
_GOOD = re.compile(r'^Good "[^"]+" signature with \S+ key (SHA256:[A-Za-z0-9+/]+)$', re.MULTILINE)
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
    """The fingerprints of the keys whose signatures over these bytes are good; whose they are is not asked here."""
    return frozenset(filter(None, (_good_key(data, signature, namespace) for signature in signatures)))


def _good_key(data: bytes, signature: str, namespace: str) -> str:
    if len(signature) > LONGEST or not signature.startswith(_ARMOUR):
        return ""
    with tempfile.NamedTemporaryFile("w", prefix="hentou-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        command = ["ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", file.name]
        done = run(command, stdin=data, check=False, timeout=_PATIENCE)
    found = _GOOD.search(done.stdout)
    return found[1] if found and not done.status else ""
