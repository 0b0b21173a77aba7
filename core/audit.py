"""The audit log as the rest of the service sees it."""

from __future__ import annotations

from typing import Literal, Protocol

#: What is audited. The first word is the subject, the second what happened to it.
AuditEvent = Literal[
    "authentication.refused",
    "authorization.refused",
    "sigil.encoded",
    "sigil.verified",
    "sigil.refused",
    "sigil.revoked",
    "keys.changed",
    "keys.refused",
    "certificate.changed",
    "certificate.refused",
    "service.started",
    "service.stopped",
]


class Audit(Protocol):
    """Where security events go. No member may hold a token, a secret or a payload."""

    def note(self, event: AuditEvent, **members: str | int | bool | None) -> None:
        """Queue a line. Never waits and never raises: for what is refused anyway."""

    async def write(self, event: AuditEvent, **members: str | int | bool | None) -> None:
        """Queue a line and, where the log is required, wait until it is in the file.

        Raises:
            AuditUnavailableError: the log is required and cannot be written; the caller must not be
                told that its call succeeded.
        """

    async def close(self) -> None:
        """Write what waits."""


class NoAudit:
    """Where the audit log is switched off."""

    def note(self, event: AuditEvent, **members: str | int | bool | None) -> None:
        """See Audit.note."""

    async def write(self, event: AuditEvent, **members: str | int | bool | None) -> None:
        """See Audit.write."""

    async def close(self) -> None:
        """See Audit.close."""
