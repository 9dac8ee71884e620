"""Certificates without a centre: the collective signs an authority per machine, which signs its own leaves.

Three levels of X.509 (RFC 5280), all on P-256: the collective's authority, whose key stays with the admins; one
issuing authority per machine, made on the machine and limited by name constraints to its site's domain; leaves
that a machine issues to itself. A stolen machine can thus speak for its own site only, and renewal needs nobody.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hentou.errors import HentouError

AUTHORITY_DAYS = 3650
ISSUER_DAYS = 1095
_AGAIN = "make a new one with `hentou identity`"
LEAF_DAYS = 45
"""Public certificates come down to 45 days by 2028; ours live no longer, so that renewal is never a surprise."""

_NO_ADDRESSES = tuple(x509.IPAddress(ip_network(everything)) for everything in ("0.0.0.0/0", "::/0"))
"""A constraint on names says nothing of addresses (RFC 5280, 4.2.1.10): those are forbidden apart."""

_SKEW = timedelta(hours=1)
"""Backdating, since a small server's clock may be late until it has reached a time server."""


def new_key() -> bytes:
    """A new P-256 private key, PEM (PKCS #8, not encrypted)."""
    return _pem(generate_private_key(SECP256R1()))


def new_authority(collective: str, key_pem: bytes, now: datetime) -> bytes:
    """The collective's own self-signed authority, PEM."""
    key = _load_key(key_pem)
    name = _name(f"{collective} authority")
    builder = _builder(name, name, key, now, AUTHORITY_DAYS)
    return _sign(_as_authority(builder, key, path_length=1), key)


def belongs(key_pem: bytes, certificate_pem: bytes) -> bool:
    """Whether a certificate is of this private key; False where either is none."""
    try:
        return x509.load_pem_x509_certificate(certificate_pem).public_key() == _load_key(key_pem).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, HentouError):
        return False


def is_key(pem: bytes) -> bool:
    """Whether this is a private key that an authority can have, PEM and not encrypted."""
    try:
        return bool(_load_key(pem))
    except (ValueError, TypeError, UnsupportedAlgorithm, HentouError):
        return False


def request(key_pem: bytes, machine: str) -> bytes:
    """A certificate signing request (PKCS #10, PEM): proof that the machine holds its issuer's key."""
    key = _load_key(key_pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(machine))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sign_issuer(
    request_pem: bytes, site_domain: str, authority_key_pem: bytes, authority_pem: bytes, now: datetime
) -> bytes:
    """A machine's issuing authority, PEM, able to speak for its site's domain and names below it only."""
    wanted = x509.load_pem_x509_csr(request_pem)
    if not wanted.is_signature_valid:
        raise HentouError("the machine's request is not signed by the key it names", _AGAIN)
    public, machine = wanted.public_key(), _common_name(wanted)
    if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
        raise HentouError(f"the key of {machine}'s request is not on the curve P-256", _AGAIN)
    authority = x509.load_pem_x509_certificate(authority_pem)
    key = _load_key(authority_key_pem)
    limits = x509.NameConstraints([x509.DNSName(site_domain)], _NO_ADDRESSES)
    builder = (
        _dated(now, ISSUER_DAYS)
        .subject_name(_name(f"{machine} issuer"))
        .issuer_name(authority.subject)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_authority_usage(), critical=True)
        .add_extension(limits, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return _sign(builder, key)


def _common_name(request: x509.CertificateSigningRequest) -> str:
    found = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(found) != 1 or not isinstance(name := found[0].value, str):
        raise HentouError("the request does not say which machine it is of", _AGAIN)
    return name


def issue_leaf(
    names: tuple[str, ...], issuer_key_pem: bytes, issuer_pem: bytes | None, now: datetime, days: int = LEAF_DAYS
) -> tuple[bytes, bytes]:
    """A fresh key and the chain for a server that answers to `names`, both PEM.

    Without an issuer (a machine that is not enrolled yet) the leaf signs itself: encrypted, trusted by nobody.
    """
    key = generate_private_key(SECP256R1())
    issuer = x509.load_pem_x509_certificate(issuer_pem) if issuer_pem else None
    signer = _load_key(issuer_key_pem) if issuer else key
    subject = _name(names[0][:64])
    builder = (
        _builder(subject, issuer.subject if issuer else subject, key, now, days)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return _pem(key), _sign(builder, signer) + (issuer_pem or b"")


def needs_renewal(chain_pem: bytes, names: tuple[str, ...], issuer_pem: bytes | None, now: datetime) -> str | None:
    """Why a leaf must be issued again: other names, another issuer, a time that is not now; None when it is good."""
    try:
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
        present = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return "unreadable"
    if set(present.get_values_for_type(x509.DNSName)) != set(names):
        return "for other names"
    if issuer_pem is not None and not _issued_by(leaf, issuer_pem):
        return "from another issuer"
    # Issued while the clock was ahead: browsers with a better clock refuse it, and its half-life is far.
    if now.astimezone(UTC) < leaf.not_valid_before_utc:
        return "not valid yet"
    half = leaf.not_valid_before_utc + (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 2
    return "half of its life is gone" if now.astimezone(UTC) >= half else None


def _issued_by(leaf: x509.Certificate, issuer_pem: bytes) -> bool:
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(issuer_pem))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        _dated(now, days)
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _as_authority(
    builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, path_length: int
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_authority_usage(), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )


def _dated(now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _authority_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _sign(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(pem: bytes) -> EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise HentouError("not an elliptic-curve private key", "make one with `hentou identity`")
    return key
