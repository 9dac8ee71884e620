"""Leaf certificates that the machine issues to itself, signed by its own issuing authority once enrolled."""

from __future__ import annotations

from collections.abc import Iterable

from hentou.agent.host import Host
from hentou.agent.names import Names
from hentou.agent.store import BASE
from hentou.generation.fragment import Certificate

ISSUER_KEY = f"{BASE}/keys/issuer.key"
ISSUER = "/etc/hentou/issuer.pem"


def standing(host: Host, certificates: Iterable[Certificate], coming_issuer: bytes | None = None) -> dict[str, str]:
    """For every certificate that is there, what is wrong with it (empty: nothing).

    `coming_issuer` is the issuing authority that the new generation brings, if it brings one.
    """
    wanted = tuple(certificates)
    if not wanted:
        return {}
    # Cryptography is the heaviest import of a run that finds nothing to do: only machines with TLS pay for it.
    from hentou.trust.pki import needs_renewal  # noqa: PLC0415

    issuer = _issuer(host, coming_issuer)
    found = {}
    for item in wanted:
        chain = host.disk.read_or_none(f"{item.directory}/fullchain.pem")
        if chain is None or host.disk.stat(f"{item.directory}/key.pem") is None:
            continue
        found[item.directory] = needs_renewal(chain, item.names, issuer, host.now()) or ""
    return found


def issue(host: Host, certificate: Certificate) -> None:
    """Issue a certificate and put it in place with its key, which only root and its group may read."""
    from hentou.trust.pki import issue_leaf  # noqa: PLC0415

    key = host.disk.read_or_none(ISSUER_KEY) or b""
    issuer = _issuer(host)
    leaf_key, chain = issue_leaf(certificate.names, key, issuer, host.now())
    uid, gid = Names.read(host.disk).ids(certificate.directory, "root", certificate.group)
    host.disk.make_directory(certificate.directory)
    host.disk.attributes(certificate.directory, 0o750, uid, gid)
    host.disk.write(f"{certificate.directory}/key.pem", leaf_key, 0o640, uid, gid)
    host.disk.write(f"{certificate.directory}/fullchain.pem", chain, 0o644, uid, gid)


def paths_of(certificate: Certificate) -> tuple[str, ...]:
    """What `issue` touches."""
    return (
        certificate.directory, f"{certificate.directory}/fullchain.pem", f"{certificate.directory}/key.pem",
    )  # fmt: skip


def _issuer(host: Host, coming: bytes | None = None) -> bytes | None:
    """The machine's issuing authority, if it is enrolled and its key is here."""
    found = coming or host.disk.read_or_none(ISSUER)
    return found if found and host.disk.stat(ISSUER_KEY) else None
