"""Certificates made on the spot: an authority, and what it issues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

LIFETIME: Final = timedelta(days=90)
_AUTHORITY_LIFETIME: Final = timedelta(days=3650)
#: For clocks that are behind.
_EARLIER: Final = timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey


class Pair(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key


def new_authority(name: str) -> Pair:
    """An authority that signs certificates, but no other authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, key, _AUTHORITY_LIFETIME)
        .issuer_name(_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Pair(builder.sign(key, SHA256()), key)


def issue(
    authority: Pair, name: str, names: Sequence[x509.GeneralName], purpose: x509.ObjectIdentifier
) -> Pair:
    """A certificate for these names and one purpose, signed by the authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(name, key, LIFETIME)
        .issuer_name(authority.certificate.subject)
        .add_extension(identifier, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return Pair(builder.sign(authority.key, SHA256()), key)


def _builder(name: str, key: Key, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
