"""The certificates that connections are made with now, and taking up new ones."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.hashes import SHA256

from app.server.reloading import Reloaded, ReloadRefusedError
from core.audit.interface import AuditEvent
from core.fingerprints import fingerprint
from core.tls import (
    ClientFiles,
    ServerFiles,
    TlsFileError,
    client_context,
    read_authorities,
    read_certificate,
    server_context,
)


def end_of_authorities(path: Path) -> float:
    """Until when the last of some authorities is valid, in seconds since the Unix epoch.

    Connections work as long as any of them is.

    Raises:
        TlsFileError: the file cannot be used.
    """
    return max(one.not_valid_after_utc.timestamp() for one in read_authorities(path))


class Certificates:
    """TLS as the files describe it; a Reloadable.

    Each reload makes a context of its own. On a server's side it has new keys for session tickets: whoever
    was let in by an earlier one must prove again who it is. Connections that exist go on as they are.

    Attributes:
        name: see Reloadable.
        context: for connections that begin now.
    """

    changed_event: AuditEvent = "certificate.changed"
    refused_event: AuditEvent = "certificate.refused"

    def __init__(
        self,
        name: str,
        certificate: Path,
        paths: Sequence[Path],
        make: Callable[[], ssl.SSLContext],
        *,
        authorities: Path | None = None,
        labels: tuple[str, str] = ("server", "client_ca"),
    ) -> None:
        """Read the files.

        Args:
            name: for the log.
            certificate: the one of the files that is told about.
            paths: all files.
            make: makes a context of what they hold at that moment.
            authorities: the one of the files that says whom the other side is to be certified by.
            labels: what metrics call the certificate and the authorities.

        Raises:
            TlsFileError: a file cannot be used.
        """
        self.name = name
        self._certificate = certificate
        self._paths = paths
        self._authorities = authorities
        self._labels = labels
        self._make = make
        self.context: ssl.SSLContext = make()
        self._digest = self._content()
        self._not_after = self._ends()

    @property
    def not_after(self) -> Mapping[str, float]:
        """Until when each certificate is valid, in seconds since the Unix epoch."""
        return self._not_after

    def _ends(self) -> Mapping[str, float]:
        ends = {self._labels[0]: read_certificate(self._certificate).not_valid_after_utc.timestamp()}
        if self._authorities is not None:
            ends[self._labels[1]] = end_of_authorities(self._authorities)
        return ends

    @classmethod
    def of_server(cls, files: ServerFiles) -> Self:
        """Those that a server shows; see ``Certificates``."""
        return cls(
            "certificate",
            files.identity.certificate,
            files.paths,
            lambda: server_context(files),
            authorities=files.client_authorities,
        )

    @classmethod
    def of_client(cls, files: ClientFiles) -> Self:
        """Those that a DNAStore is shown; see ``Certificates``."""
        certificate = files.identity.certificate
        return cls(
            "dnastore certificate",
            certificate,
            files.paths,
            lambda: client_context(files),
            authorities=files.authorities,
            labels=("dnastore_client", "dnastore_ca"),
        )

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        return fingerprint(self._paths)

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        try:
            context, digest = self._make(), self._content()
            certificate = read_certificate(self._certificate)
        except TlsFileError as error:
            raise ReloadRefusedError(error.reason, f"{error.part}: {error}") from None
        except OSError as error:  # taken away between two looks
            raise ReloadRefusedError("unreadable", f"a file cannot be read: {error.strerror}") from None
        changed = digest != self._digest
        if changed:
            self.context, self._digest = context, digest
            self._not_after = self._ends()
        expires = certificate.not_valid_after_utc.isoformat()
        facts = {"sha256": certificate.fingerprint(SHA256()).hex(), "expires": expires}
        return Reloaded(changed, facts, facts)

    def _content(self) -> bytes:
        digest = hashlib.sha256()
        for path in self._paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.digest()
