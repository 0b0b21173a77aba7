"""Development mode: an authority made on the spot, what it issues, and an allow-list."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.dnastore.issuing import LIFETIME, Key, Pair, issue, new_authority
from core.dnastore.allow_list import EVERY
from core.dnastore.server_settings import ALLOW, SERVER_TLS_NAMES
from core.private_files import kept, make_if_missing, replace

#: What the client is called that the allow-list lets in.
CLIENT: Final = "sigil-service"
#: What lasts for less than this is issued anew.
_ABOUT_TO_EXPIRE: Final = timedelta(days=7)
#: An authority must outlive what it issues.
_AUTHORITY_ABOUT_TO_EXPIRE: Final = LIFETIME + _ABOUT_TO_EXPIRE


class DevelopmentFiles:
    """The files of development mode, in a folder of the data folder. Made where missing, and kept.

    Attributes:
        authority: the certificate that server and client are trusted by.
        client: certificate and key of the client in the allow-list.
    """

    def __init__(self, data_dir: Path) -> None:
        """Make what is missing, and issue anew what is about to expire.

        Raises:
            PrivateFileError: a certificate or key is open to others.
            OSError: a file cannot be read or made.
        """
        self._folder = data_dir / "dnastore-development"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self._folder):
            authority = self._pair("authority", None, lambda: new_authority("DNAStore development authority"))
            server = _SERVER_NAMES, ExtendedKeyUsageOID.SERVER_AUTH
            self._pair("server", authority, lambda: issue(authority, "DNAStore", *server))
            client = [x509.DNSName(CLIENT)], ExtendedKeyUsageOID.CLIENT_AUTH
            self._pair("client", authority, lambda: issue(authority, CLIENT, *client))
            allow = json.dumps({CLIENT: [EVERY]}).encode() + b"\n"
            # No secret: whoever reads it, at the start and later, judges it as in production.
            make_if_missing(self._folder / "allow.json", lambda: allow)
        self.authority = self._path("authority.pem")
        self.client = (self._path("client.pem"), self._path("client-key.pem"))

    @property
    def variables(self) -> Mapping[str, str]:
        """The settings of a server that uses the files."""
        return {
            SERVER_TLS_NAMES["certificate"]: str(self._path("server.pem")),
            SERVER_TLS_NAMES["key"]: str(self._path("server-key.pem")),
            SERVER_TLS_NAMES["authorities"]: str(self.authority),
            ALLOW: str(self._path("allow.json")),
        }

    def _path(self, name: str) -> Path:
        return (self._folder / name).absolute()

    def _pair(self, name: str, issuer: Pair | None, make: Callable[[], Pair]) -> Pair:
        """A certificate and its key, as they are kept, unless they cannot be used any longer."""
        certificate, key = self._path(f"{name}.pem"), self._path(f"{name}-key.pem")
        if certificate.exists() and key.exists():
            pair = _read(kept(certificate, bytes), kept(key, bytes))
            if pair is not None and _lasts(pair, issuer):
                return pair
        pair = make()
        replace(key, pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        replace(certificate, pair.certificate.public_bytes(Encoding.PEM))
        return pair


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let no other start make the same files at the same time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(certificate: bytes, key: bytes) -> Pair | None:
    """A pair that belongs together; None where it does not: a start may have died between the two files."""
    try:
        pair = Pair(x509.load_pem_x509_certificate(certificate), _private_key(key))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return pair if pair.key.public_key() == pair.certificate.public_key() else None


def _private_key(pem: bytes) -> Key:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, Key):
        raise TypeError("another kind of key than is made here")
    return key


def _lasts(pair: Pair, issuer: Pair | None) -> bool:
    """Whether a pair can be used for a while, and is of this issuer, if not its own."""
    left = pair.certificate.not_valid_after_utc - datetime.now(UTC)
    if issuer is None:
        return left >= _AUTHORITY_ABOUT_TO_EXPIRE
    try:
        pair.certificate.verify_directly_issued_by(issuer.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return left >= _ABOUT_TO_EXPIRE


_SERVER_NAMES: Final[Sequence[x509.GeneralName]] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)
