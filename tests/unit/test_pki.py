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


def test_an_issuer_cannot_speak_for_an_address(authority, issuer) -> None:  # type: ignore[no-untyped-def]
    from ipaddress import ip_address

    key, chain = issuer
    address = x509.IPAddress(ip_address("203.0.113.10"))
    signer, above = pki._load_key(key), x509.load_pem_x509_certificate(chain)
    own = pki._load_key(pki.new_key())
    builder = pki._builder(pki._name("x"), above.subject, own, NOW, 45)
    builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    leaf = x509.load_pem_x509_certificate(pki._sign(builder, signer))
    store = Store([x509.load_pem_x509_certificate(authority[1])])
    with pytest.raises(VerificationError):
        PolicyBuilder().store(store).time(NOW).build_server_verifier(address).verify(leaf, [above])
    limits = above.extensions.get_extension_for_class(x509.NameConstraints).value
    assert len(limits.excluded_subtrees or ()) == 2


def test_a_leaf_from_the_future_is_issued_again(issuer) -> None:  # type: ignore[no-untyped-def]
    _, chain = pki.issue_leaf(("kerminy.pilot.example",), *issuer, NOW + timedelta(days=30))
    assert pki.needs_renewal(chain, ("kerminy.pilot.example",), issuer[1], NOW) == "not valid yet"


def test_requests_of_another_kind_are_told(authority) -> None:  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding

    nameless = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    named = x509.CertificateSigningRequestBuilder().subject_name(pki._name("kerminy-1"))
    weak = rsa.generate_private_key(65537, 2048)
    for builder, key, told in (
        (nameless, pki._load_key(pki.new_key()), "which machine"),
        (named, weak, "P-256"),
    ):
        request = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
        with pytest.raises(HentouError, match=told):
            pki.sign_issuer(request, "kerminy.pilot.example", *authority, NOW)
