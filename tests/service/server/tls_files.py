"""Certificates for the tests, as files."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.service.running import Service

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Authority:
    """An authority of its own, and certificates that it has issued."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._authority = trustme.CA()
        self.path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.path)

    def issue(
        self,
        name: str,
        *,
        host: str = "127.0.0.1",
        not_before: datetime = NOW - DAY,
        not_after: datetime = NOW + DAY,
    ) -> tuple[Path, Path]:
        """A certificate for a host, as two files: the chain, and its key."""
        issued = self._authority.issue_cert(host, not_before=not_before, not_after=not_after)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}-key.pem"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return certificate, key

    def itself(self) -> tuple[Path, Path]:
        """Its own certificate, which is self-signed, and key."""
        key = self.folder / "authority-key.pem"
        self._authority.private_key_pem.write_to_path(key)
        return self.path, key


def client(
    authority: Authority,
    identity: tuple[Path, Path] | None = None,
    *,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """How a client trusts an authority, and who it says it is; of one version, if it is given."""
    context = ssl.create_default_context(cafile=authority.path)
    if identity is not None:
        context.load_cert_chain(*identity)
    if version is not None:
        # An old version needs an old level before OpenSSL as much as offers it.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    return context


def variables(identity: tuple[Path, Path], client_authorities: Path | None = None) -> dict[str, str]:
    """The settings that make a service speak TLS."""
    certificate, key = identity
    given = {"SIGIL_TLS_CERT": str(certificate), "SIGIL_TLS_KEY": str(key)}
    return given if client_authorities is None else {**given, "SIGIL_TLS_CLIENT_CA": str(client_authorities)}


def trusting(service: Service, context: ssl.SSLContext) -> Service:
    """The service, called by TLS from now on."""
    service.tls = context
    return service
