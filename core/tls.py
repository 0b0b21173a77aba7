"""TLS from PEM files: certificates, keys and authorities, all checked before they are used.

What is said about a file that cannot be used shows neither its path nor its contents.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import (
    PrivateKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from core.plain_files import PlainFileError, read_plain

_Parsed = TypeVar("_Parsed")

_LARGEST_FILE: Final = 1 << 20
_WRITABLE_BY_OTHERS: Final = 0o002
_READABLE_BY_OTHERS: Final = 0o004
#: For TLS 1.2: an ephemeral key exchange and authenticated encryption, nothing else; TLS 1.3 has no other.
#: Level 2 refuses RSA below 2048 bits, elliptic curves below 224, and SHA-1 in signatures.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"

#: The file that is at fault.
Part = Literal["certificate", "key", "authorities"]


class TlsFileError(ValueError):
    """A file that TLS cannot work with.

    Attributes:
        part: which file.
        reason: short and stable: ``unreadable``, ``format``, ``encrypted``, ``exposed``, ``expired``,
            ``not_yet_valid``, ``mismatch``, ``weak``, ``not_an_authority``.
    """

    def __init__(self, part: Part, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.part = part
        self.reason = reason


class Identity(NamedTuple):
    """The files by which one side of a connection proves who it is."""

    certificate: Path
    key: Path


class ServerFiles(NamedTuple):
    """The files that a server's side of TLS needs.

    Attributes:
        identity: the server's own.
        client_authorities: whose certificates clients must have; None: clients need none.
    """

    identity: Identity
    client_authorities: Path | None = None

    @property
    def paths(self) -> Sequence[Path]:
        """All files."""
        rest = () if self.client_authorities is None else (self.client_authorities,)
        return (*self.identity, *rest)


class ClientFiles(NamedTuple):
    """The files that a client's side of TLS needs.

    Attributes:
        identity: the client's own.
        authorities: whose certificates servers must have; None: one that the system trusts.
        verify: whether the server is asked who it is at all.
    """

    identity: Identity
    authorities: Path | None = None
    verify: bool = True

    @property
    def paths(self) -> Sequence[Path]:
        """All files."""
        rest = () if self.authorities is None else (self.authorities,)
        return (*self.identity, *rest)


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate that a chain begins with, if it is valid now.

    Raises:
        TlsFileError: unreadable, no certificate, expired or not yet valid.
    """
    certificate = _certificates(path, "certificate")[0]
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc <= now:
        expired = certificate.not_valid_after_utc
        raise TlsFileError("certificate", "expired", f"the certificate expired at {_text(expired)}")
    if certificate.not_valid_before_utc > now:
        begin = certificate.not_valid_before_utc
        raise TlsFileError(
            "certificate", "not_yet_valid", f"the certificate is not valid before {_text(begin)}"
        )
    return certificate


def read_key(path: Path) -> PrivateKeyTypes:
    """A private key that needs no password, in a file that not everybody may replace.

    Raises:
        TlsFileError: unreadable, no key, encrypted, or writable by everybody.
    """
    pem = _read(path, "key")
    if path.stat().st_mode & _WRITABLE_BY_OTHERS:
        raise TlsFileError("key", "exposed", "the file can be changed by everybody; chmod 600 it")
    try:
        return _parsed(pem, lambda text: load_pem_private_key(text, None), "key", "private key")
    except TypeError:
        raise TlsFileError(
            "key", "encrypted", "the key is encrypted; it must be kept without password"
        ) from None


def read_authorities(path: Path) -> Sequence[x509.Certificate]:
    """Certificates of authorities, of which at least one is valid now.

    Raises:
        TlsFileError: unreadable, no certificate, none of an authority, or all expired or not yet valid.
    """
    certificates = [one for one in _certificates(path, "authorities") if _may_sign(one)]
    if not certificates:
        raise TlsFileError("authorities", "not_an_authority", "no certificate of the file is an authority's")
    now = datetime.now(UTC)
    if not any(one.not_valid_before_utc <= now < one.not_valid_after_utc for one in certificates):
        raise TlsFileError("authorities", "expired", "no authority's certificate of the file is valid now")
    return certificates


def is_open_to_others(path: Path) -> bool:
    """Whether everybody on the machine may read a file."""
    return bool(path.stat().st_mode & _READABLE_BY_OTHERS)


def server_context(files: ServerFiles) -> ssl.SSLContext:
    """What a server needs to speak TLS 1.2 and 1.3 with the forward-secret ciphers, and HTTP/1.1 inside.

    Raises:
        TlsFileError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    load_identity(context, files.identity)
    if files.client_authorities is not None:
        load_authorities(context, files.client_authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(files: ClientFiles) -> ssl.SSLContext:
    """What a client needs to speak TLS 1.2 and 1.3 to a server whose name it checks.

    Raises:
        TlsFileError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    load_identity(context, files.identity)
    if files.authorities is not None:
        load_authorities(context, files.authorities)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Let a context prove who it is.

    Raises:
        TlsFileError: a file cannot be used, or the two do not belong together.
    """
    certificate, key = read_certificate(identity.certificate), read_key(identity.key)
    if _encoded(certificate.public_key()) != _encoded(key.public_key()):
        raise TlsFileError("key", "mismatch", "the key does not belong to the certificate")
    try:
        # A password is never asked for: that would be at a terminal, and wait.
        context.load_cert_chain(identity.certificate, identity.key, password="")
    except OSError as error:
        raise TlsFileError("certificate", "weak", f"OpenSSL refuses it: {_reason(error)}") from None


def load_authorities(context: ssl.SSLContext, path: Path) -> None:
    """Let a context trust the certificates of these authorities, and no others.

    Raises:
        TlsFileError: the file cannot be used.
    """
    read_authorities(path)
    try:
        context.load_verify_locations(path)
    except OSError as error:
        raise TlsFileError("authorities", "format", f"OpenSSL refuses it: {_reason(error)}") from None


def _read(path: Path, part: Part) -> bytes:
    try:
        return read_plain(path, largest=_LARGEST_FILE)
    except PlainFileError as error:
        raise TlsFileError(part, "unreadable", str(error)) from None


def _parsed(pem: bytes, parse: Callable[[bytes], _Parsed], part: Part, content: str) -> _Parsed:
    try:
        return parse(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise TlsFileError(part, "format", f"the file holds no {content} in PEM form") from None


def _certificates(path: Path, part: Part) -> Sequence[x509.Certificate]:
    return _parsed(_read(path, part), x509.load_pem_x509_certificates, part, "certificate")


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        # Roots of X.509 version 1 have no extensions.
        return certificate.version is x509.Version.v1
    except ValueError:
        return False


def _encoded(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return str(reason or "unknown cause").lower().replace("_", " ")


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
