"""What a spool knows of records, and how that goes together with what the store says."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from core.errors import RecordCorruptError
from core.records import Damage, Record


class Revocation(NamedTuple):
    """A revocation that waits."""

    at_ms: int
    by: str
    reason: str


class Known(NamedTuple):
    """A record that waits, or whose revocation does.

    Attributes:
        record: with its payload, the revocation on it; or why it cannot be read.
        revocation: that waits, if one does.
    """

    record: Record | RecordCorruptError
    revocation: Revocation | None


def revoked(record: Record, revocation: Revocation | None) -> Record:
    """A record with a revocation on it; one that is revoked already stays as it is."""
    if revocation is None or record.revoked_at_ms is not None:
        return record
    return msgspec.structs.replace(
        record,
        revoked_at_ms=revocation.at_ms,
        revoked_by=revocation.by,
        revoked_reason=revocation.reason,
    )


def shown(record: Record, *, with_payload: bool, stale: bool = False) -> Record:
    """A record as it was asked for."""
    if with_payload or record.payload is None:
        return msgspec.structs.replace(record, stale=True) if stale else record
    return msgspec.structs.replace(record, payload=None, stale=stale)


def as_shown(record: Record | Damage, *, with_payload: bool, stale: bool = False) -> Record | Damage:
    """The same; why a record cannot be read stays as it is."""
    return record if isinstance(record, Exception) else shown(record, with_payload=with_payload, stale=stale)
