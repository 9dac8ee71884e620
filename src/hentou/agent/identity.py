"""A machine's own keys: made here, once, and never leaving; only public halves are told."""

from __future__ import annotations

from collections.abc import Callable

from hentou.agent.host import Host
from hentou.agent.store import BASE
from hentou.effects.process import run

KEYS = f"{BASE}/keys"
WIREGUARD = f"{KEYS}/wireguard.key"
ISSUER = f"{KEYS}/issuer.key"
JOURNAL = f"{KEYS}/journal"
AGE = f"{KEYS}/age.key"
_SSH = "/etc/ssh/ssh_host_ed25519_key"


def identity(host: Host, machine: str, *, new: bool = False) -> dict[str, str]:
    """Public halves of the machine's keys, which are made if they are missing, and its certificate request.

    With them come their `fingerprint`, and the `code` by which an admin knows that they are this machine's. With
    `new` all are made anew but the SSH host key: for the copy of another machine, or one whose keys were seen.
    """
    # Only enrolment needs certificates' arithmetic and age here.
    from pyrage import x25519  # type: ignore[import-untyped] # noqa: PLC0415

    from hentou.trust import pki  # noqa: PLC0415
    from hentou.trust.identity import code, fingerprint  # noqa: PLC0415

    if new:
        _forget(host)
    _make_missing(host, machine)
    ssh_host = host.disk.read(f"{_SSH}.pub").decode().split()
    journal = host.disk.read(f"{JOURNAL}.pub").decode().split()
    age = x25519.Identity.from_str(host.disk.read(AGE).decode().strip())
    found = {
        "machine": machine,
        "wireguard": run(["wg", "pubkey"], stdin=host.disk.read(WIREGUARD), timeout=10).stdout.strip(),
        "ssh_host": " ".join(ssh_host[:2]),
        "journal": " ".join(journal[:2]),
        "age": str(age.to_public()),
        "csr": pki.request(host.disk.read(ISSUER), machine).decode(),
    }
    return {**found, "fingerprint": fingerprint(found), "code": code(found)}


def _make_missing(host: Host, machine: str) -> None:
    """Make the keys that are not there; whoever only asks needs no lock."""
    made = (WIREGUARD, ISSUER, JOURNAL, f"{JOURNAL}.pub", AGE, f"{_SSH}.pub")
    if all(host.disk.stat(path) for path in made):
        return
    from hentou.trust import pki  # noqa: PLC0415

    with host.store.lock():
        host.disk.make_directory(KEYS)
        host.disk.attributes(KEYS, 0o700, 0, 0)
        _key(host, WIREGUARD, _wireguard_key)
        _key(host, ISSUER, pki.new_key)
        _key(host, AGE, _age_key)
        _key(host, JOURNAL, lambda: _journal_key(host, machine))
        _key(host, f"{JOURNAL}.pub", lambda: _public_half(host), 0o644)
        if host.disk.stat(f"{_SSH}.pub") is None:
            run(["ssh-keygen", "-A", "-f", host.disk.at("")], timeout=60)
        host.disk.flush()


def _forget(host: Host) -> None:
    with host.store.lock():
        for path in (f"{JOURNAL}.pub", JOURNAL, WIREGUARD, ISSUER, AGE):
            host.disk.remove(path)
        host.disk.flush()


def _wireguard_key() -> bytes:
    return run(["wg", "genkey"], timeout=10).stdout.encode()


def _age_key() -> bytes:
    from pyrage import x25519  # noqa: PLC0415

    return f"{x25519.Identity.generate()}\n".encode()


def _journal_key(host: Host, machine: str) -> bytes:
    """An OpenSSH ed25519 key without a passphrase: the machine signs while nobody is there."""
    beside = f"{KEYS}/.journal.new"
    for left in (beside, f"{beside}.pub"):
        host.disk.remove(left)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", machine, "-f", host.disk.at(beside)], timeout=60)
    try:
        return host.disk.read(beside)
    finally:
        for left in (beside, f"{beside}.pub"):
            host.disk.remove(left)


def _public_half(host: Host) -> bytes:
    return run(["ssh-keygen", "-y", "-f", host.disk.at(JOURNAL)], timeout=20).stdout.encode()


def _key(host: Host, path: str, make: Callable[[], bytes], mode: int = 0o600) -> None:
    if host.disk.read_or_none(path) is None:
        host.disk.replace(path, make(), mode)
