"""The record of a sigil, as the store keeps it."""

from __future__ import annotations

from typing import Literal, NewType

import msgspec

#: JSON text in its RFC 8785 form. Only a canonicaliser's output may be called that.
CanonicalJson = NewType("CanonicalJson", bytes)

Status = Literal["active", "expired", "revoked"]


class Record(msgspec.Struct, frozen=True):
    """One sealed payload of one tenant. Times are milliseconds since the Unix epoch.

    Attributes:
        id: the sigil's id, a UUIDv7 in its text form.
        expires_at_ms: 0 means never.
        payload: the canonical bytes that were sealed; ``None`` in listings, which leave them out.
        canonical_sha256: of the payload, 32 bytes.
        created_by: the subject whose token asked for it.
        revoked_at_ms: ``None`` while it is not revoked.
    """

    tenant: str
    id: str
    sigil: str
    key_id: int
    issued_at_ms: int
    expires_at_ms: int
    payload: CanonicalJson | None
    canonical_sha256: bytes
    created_at_ms: int
    created_by: str
    revoked_at_ms: int | None = None
    revoked_by: str | None = None
    revoked_reason: str | None = None

    def status(self, now_ms: int) -> Status:
        """Where the record stands; a revoked one stays revoked after its expiry."""
        if self.revoked_at_ms is not None:
            return "revoked"
        if self.expires_at_ms and now_ms >= self.expires_at_ms:
            return "expired"
        return "active"
