"""The three levels of certificates, verified by cryptography's own path validation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509 import DNSName
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from hentou.errors import HentouError
from hentou.trust import pki

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> tuple[bytes, bytes]:
    key = pki.new_key()
    return key, pki.new_authority("pilot", key, NOW)


@pytest.fixture(scope="module")
def issuer(authority: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    key = pki.new_key()
    request = pki.request(key, "kerminy-1")
    return key, pki.sign_issuer(request, "kerminy.pilot.example", *authority, NOW)


def verify(authority: bytes, chain: bytes, name: str, at: datetime = NOW) -> None:
    leaf, *between = x509.load_pem_x509_certificates(chain)
    store = Store([x509.load_pem_x509_certificate(authority)])
    PolicyBuilder().store(store).time(at).build_server_verifier(DNSName(name)).verify(leaf, between)


@pytest.mark.parametrize("name", ["kerminy.pilot.example", "wiki.kerminy.pilot.example"])
def test_a_machine_speaks_for_its_site(authority, issuer, name) -> None:  # type: ignore[no-untyped-def]
    _, chain = pki.issue_leaf((name,), *issuer, NOW)
    verify(authority[1], chain, name)


@pytest.mark.parametrize("name", ["konkarlab.pilot.example", "pilot.example", "bank.example"])
def test_but_for_no_other_name(authority, issuer, name) -> None:  # type: ignore[no-untyped-def]
    _, chain = pki.issue_leaf((name,), *issuer, NOW)
    with pytest.raises(VerificationError):
        verify(authority[1], chain, name)


def test_a_leaf_is_renewed_at_half_of_its_life(issuer) -> None:  # type: ignore[no-untyped-def]
    names = ("kerminy.pilot.example",)
    _, chain = pki.issue_leaf(names, *issuer, NOW)
    assert pki.needs_renewal(chain, names, issuer[1], NOW) is None
    assert pki.needs_renewal(chain, names, issuer[1], NOW + timedelta(days=22)) is None
    assert pki.needs_renewal(chain, names, issuer[1], NOW + timedelta(days=23)) == "half of its life is gone"
    assert pki.needs_renewal(chain, ("other.example",), issuer[1], NOW) == "for other names"
    assert pki.needs_renewal(b"garbage", names, issuer[1], NOW) == "unreadable"


def test_enrolment_replaces_a_self_signed_leaf(issuer) -> None:  # type: ignore[no-untyped-def]
    names = ("kerminy.pilot.example",)
    _, chain = pki.issue_leaf(names, issuer[0], None, NOW)
    assert pki.needs_renewal(chain, names, None, NOW) is None
    assert pki.needs_renewal(chain, names, issuer[1], NOW) == "from another issuer"


def test_a_request_must_be_signed_by_its_own_key(authority) -> None:  # type: ignore[no-untyped-def]
    request = x509.load_pem_x509_csr(pki.request(pki.new_key(), "a")).public_bytes(
        encoding=pki.serialization.Encoding.DER
    )
    broken = bytearray(request)
    broken[-1] ^= 1
    pem = x509_pem(bytes(broken))
    with pytest.raises((HentouError, ValueError)):
        pki.sign_issuer(pem, "a.example", *authority, NOW)


def x509_pem(der: bytes) -> bytes:
    import base64

    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n".encode()
