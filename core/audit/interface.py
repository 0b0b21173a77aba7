"""The audit log as the rest of the service sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from core.later import Later, Sequel

#: What is audited. The first word is the subject, the second what happened to it.
AuditEvent = Literal[
    "authentication.refused",
    "authorization.refused",
    "sigil.encoded",
    "sigil.verified",
    "sigil.revoked",
    "sigil.not_found",
    "sigil.withheld",
    "keys.changed",
    "keys.refused",
    "rate.refused",
    "limiter.degraded",
    "limiter.recovered",
    "store.degraded",
    "store.recovered",
    "limits.changed",
    "limits.refused",
    "tenant_classes.changed",
    "tenant_classes.refused",
    "clients.changed",
    "clients.refused",
    "certificate.changed",
    "certificate.refused",
    "service.started",
    "service.stopped",
    # About the log itself.
    "audit.begun",
    "audit.limited",
    "audit.lost",
    "audit.unwritable",
]

Member = str | int | bool | None
AuditCondition = Literal["ok", "failing", "off"]


class Audit(Protocol):
    """Where security events go. No member may hold a token, a secret or a payload."""

    def note(self, event: AuditEvent, **members: Member) -> None:
        """Queue a line. Never waits and never raises: for what is refused anyway."""

    async def write(self, event: AuditEvent, **members: Member) -> None:
        """Queue a line and, where the log is required, wait until it is in the file.

        Raises:
            AuditUnavailableError: the log is required and cannot be written; the caller must not be
                told that its call succeeded.
        """

    async def write_all(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> None:
        """Queue lines of one event, one behind the other, and wait like ``write`` until all are in the file.

        Raises:
            AuditUnavailableError: as above; none of what they tell may be called a success.
        """

    def write_soon(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> Later | None:
        """Begin as ``write_all``, for one who waits without a task; what is to be awaited, if anything is.

        Raises:
            AuditUnavailableError: as above.
        """

    def sequel(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> Sequel | None:
        """Lines as of ``write_all``, to be queued when that is done what they tell; None: there are none.

        They have the time when they are queued. What comes of it is what ``write_all`` would come to.
        """

    def check(self) -> None:
        """Ask before something is done that a required log must then hold.

        Raises:
            AuditUnavailableError: the log is required and known not to work.
        """

    def has_places(self, lines: int) -> bool:
        """Whether ``set_aside`` would not wait now."""

    async def set_aside(self, lines: int) -> None:
        """Have room for the lines of a batch, before anything is done for it; wait for that if need be.

        Whoever comes back must ``give_back`` as much, when the lines are written, or queued where nobody
        waits for that, or will not be. A log that is not required has nobody wait who would wait in vain.

        Raises:
            AuditUnavailableError: nothing may be done now; there is nothing to give back.
        """

    def give_back(self, lines: int) -> None:
        """Have others use room that was set aside."""

    @property
    def condition(self) -> AuditCondition:
        """How the log does."""

    async def close(self) -> None:
        """Write what waits."""


class NoAudit:
    """Where the audit log is switched off."""

    def note(self, event: AuditEvent, **members: Member) -> None:
        """See Audit.note."""

    async def write(self, event: AuditEvent, **members: Member) -> None:
        """See Audit.write."""

    async def write_all(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> None:
        """See Audit.write_all."""

    def write_soon(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> None:
        """See Audit.write_soon."""

    def sequel(self, event: AuditEvent, lines: Sequence[Mapping[str, Member]]) -> None:
        """See Audit.sequel."""

    def check(self) -> None:
        """See Audit.check."""

    def has_places(self, lines: int) -> bool:
        """See Audit.has_places."""
        return True

    async def set_aside(self, lines: int) -> None:
        """See Audit.set_aside."""

    def give_back(self, lines: int) -> None:
        """See Audit.give_back."""

    @property
    def condition(self) -> AuditCondition:
        """See Audit.condition."""
        return "off"

    async def close(self) -> None:
        """See Audit.close."""
