"""The certificate that connections are served with now, and taking up a new one."""

from __future__ import annotations

import hashlib
import ssl

from cryptography.hazmat.primitives.hashes import SHA256

from app.server.reloading import Reloaded, ReloadRefusedError
from core.audit.interface import AuditEvent
from core.fingerprints import fingerprint
from core.tls import ServerFiles, TlsFileError, read_certificate, server_context


class Certificates:
    """TLS as the files describe it; a Reloadable.

    Each reload makes a context of its own, and with it new keys for session tickets: whoever was let in
    by an earlier one must prove again who it is.

    Attributes:
        context: for connections that begin now.
    """

    name = "certificate"
    changed_event: AuditEvent = "certificate.changed"
    refused_event: AuditEvent = "certificate.refused"

    def __init__(self, files: ServerFiles) -> None:
        """Read the files.

        Raises:
            TlsFileError: a file cannot be used.
        """
        self._files = files
        self.context: ssl.SSLContext = server_context(files)
        self._digest = self._content()

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        return fingerprint(self._files.paths)

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        try:
            context, digest = server_context(self._files), self._content()
            certificate = read_certificate(self._files.identity.certificate)
        except TlsFileError as error:
            raise ReloadRefusedError(error.reason, f"{error.part}: {error}") from None
        except OSError as error:  # taken away between two looks
            raise ReloadRefusedError("unreadable", f"a file cannot be read: {error.strerror}") from None
        changed = digest != self._digest
        if changed:
            self.context, self._digest = context, digest
        expires = certificate.not_valid_after_utc.isoformat()
        facts = {"sha256": certificate.fingerprint(SHA256()).hex(), "expires": expires}
        return Reloaded(changed, facts, facts)

    def _content(self) -> bytes:
        digest = hashlib.sha256()
        for path in self._files.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.digest()
