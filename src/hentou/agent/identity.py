"""A machine's own keys: made here, once, and never leaving; only public halves are told."""

from __future__ import annotations

from collections.abc import Callable

from hentou.agent.host import Host
from hentou.agent.store import BASE
from hentou.effects.process import run

KEYS = f"{BASE}/keys"
_SSH = "/etc/ssh/ssh_host_ed25519_key"


def identity(host: Host, machine: str) -> dict[str, str]:
    """Public halves of the machine's keys, which are made if they are missing, and its certificate request."""
    # Only enrolment needs certificates' arithmetic here.
    from hentou.trust import pki  # noqa: PLC0415

    with host.store.lock():
        host.disk.make_directory(KEYS)
        host.disk.attributes(KEYS, 0o700, 0, 0)
        wireguard = _key(host, "wireguard.key", _wireguard_key)
        issuer = _key(host, "issuer.key", pki.new_key)
        if host.disk.stat(f"{_SSH}.pub") is None:
            run(["ssh-keygen", "-A", "-f", host.disk.at("")], timeout=60)
    ssh_host = host.disk.read(f"{_SSH}.pub").decode().split()
    return {
        "machine": machine,
        "wireguard": run(["wg", "pubkey"], stdin=wireguard, timeout=10).stdout.strip(),
        "ssh_host": " ".join(ssh_host[:2]),
        "csr": pki.request(issuer, machine).decode(),
    }


def _wireguard_key() -> bytes:
    return run(["wg", "genkey"], timeout=10).stdout.encode()


def _key(host: Host, name: str, make: Callable[[], bytes]) -> bytes:
    found = host.disk.read_or_none(f"{KEYS}/{name}")
    if found is None:
        found = make()
        host.disk.replace(f"{KEYS}/{name}", found, 0o600)
    return found
