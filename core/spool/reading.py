"""Questions to a spool, each in a transaction of the caller's connection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from core.errors import RecordCorruptError
from core.records import Record, Status
from core.spool.known import Known, Revocation, revoked
from core.spool.rows import DamagedWriteError, SpooledRow, read_record, read_write, records_in

# Sorted so that ids whose records wait in the same write come one behind the other.
_FIND_RECORDS: Final = (
    "SELECT r.id, r.sequence, coalesce(w.body, x.body), coalesce(w.checksum, x.checksum)"
    " FROM spool_records r LEFT JOIN spool_writes w ON w.sequence = r.sequence"
    " LEFT JOIN spool_rejected x ON x.sequence = r.sequence"
    " WHERE r.tenant = ? AND r.id IN (SELECT value FROM json_each(?)) ORDER BY r.sequence"
)
_FIND_REVOCATIONS: Final = (
    "SELECT id, revoked_at_ms, revoked_by, revoked_reason, record FROM spool_revocations"
    " WHERE tenant = ? AND id IN (SELECT value FROM json_each(?))"
)
_REVOCATIONS: Final = (
    "SELECT id, revoked_at_ms, revoked_by, revoked_reason FROM spool_revocations WHERE tenant = ? AND id < ?"
)
_NOT_REVOKED: Final = (
    " AND revoked = 0 AND NOT EXISTS"
    " (SELECT 1 FROM spool_revocations v WHERE v.tenant = spool_records.tenant AND v.id = spool_records.id)"
)
_RECORD_IDS: Final[dict[Status | None, str]] = {
    None: "",
    "revoked": " AND revoked = 1",
    "expired": f" AND expires_at_ms > 0 AND expires_at_ms <= :now_ms{_NOT_REVOKED}",
    "active": f" AND (expires_at_ms = 0 OR expires_at_ms > :now_ms){_NOT_REVOKED}",
}
_BATCH: Final = (
    "SELECT sequence, tenant, record_id, at_ms, size, checksum, body FROM spool_writes"
    " WHERE sequence > ? ORDER BY sequence LIMIT ?"
)
#: Behind every id.
_LAST_ID: Final = "g"


class State(NamedTuple):
    """What lies in a spool.

    Attributes:
        writes: that wait.
        size: bytes that these take, about.
        rejected: writes that were set aside.
        rejected_size: bytes that these take, about.
        first: the sequence of the oldest that waits, or 0.
        first_at_ms: when that came, or 0.
        last: the sequence of the youngest that waits, or 0.
    """

    writes: int
    size: int
    rejected: int
    rejected_size: int
    first: int
    first_at_ms: int
    last: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that readers must know of."""
        return not self.writes and not self.rejected


STATE: Final = (
    "SELECT t.writes, t.size, t.rejected, t.rejected_size, coalesce(w.sequence, 0), coalesce(w.at_ms, 0),"
    " coalesce((SELECT max(sequence) FROM spool_writes), 0)"
    " FROM spool_totals t LEFT JOIN spool_writes w ON w.sequence = (SELECT min(sequence) FROM spool_writes)"
)


def find(connection: sa.Connection, tenant: str, ids: Sequence[str]) -> dict[str, Known]:
    """What the spool knows of these records."""
    if not ids:
        return {}
    values = (tenant, json.dumps(ids))
    found: dict[str, Record | RecordCorruptError] = {}
    revocations: dict[str, Revocation] = {}
    for record_id, at_ms, by, reason, body in connection.exec_driver_sql(_FIND_REVOCATIONS, values):
        revocations[record_id] = Revocation(at_ms, by, reason)
        try:
            found[record_id] = read_record(body)
        except DamagedWriteError as error:
            found[record_id] = RecordCorruptError(record_id, f"spool: {error}")
    last, records = -1, dict[str, Record]()
    for record_id, sequence, body, checksum in connection.exec_driver_sql(_FIND_RECORDS, values):
        try:
            if sequence != last:
                last, records = sequence, {}
                records = {one.id: one for one in records_in(read_write(body, checksum))}
            found[record_id] = records[record_id]
        except (DamagedWriteError, KeyError) as error:
            # A revocation has brought another copy along, maybe.
            found.setdefault(record_id, RecordCorruptError(record_id, f"spool: {error}"))
    return {
        one: Known(record if isinstance(record, Exception) else revoked(record, revocation), revocation)
        for one, record in found.items()
        for revocation in (revocations.get(one),)
    }


class Piece(NamedTuple):
    """What a listing needs of a spool.

    Attributes:
        known: by id, newest first.
        revocations: all of the tenant that wait, of records below the place where the listing goes on.
    """

    known: Mapping[str, Known]
    revocations: Mapping[str, Revocation]


def piece(
    connection: sa.Connection,
    tenant: str,
    *,
    limit: int,
    before: str | None,
    status: Status | None,
    now_ms: int,
) -> Piece:
    """At most ``limit`` records that stand so, as the spool knows them, newest first; and revocations."""
    below = _LAST_ID if before is None else before
    revocations = {
        row[0]: Revocation(*row[1:]) for row in connection.exec_driver_sql(_REVOCATIONS, (tenant, below))
    }
    query = f"SELECT id FROM spool_records WHERE tenant = :tenant AND id < :below{_RECORD_IDS[status]}"  # noqa: S608 - our own text
    values: dict[str, Any] = {"tenant": tenant, "below": below, "limit": limit, "now_ms": now_ms}
    rows = connection.execute(sa.text(f"{query} ORDER BY id DESC LIMIT :limit"), values).scalars()
    ids = set(rows)
    if status in {None, "revoked"}:
        ids.update(revocations)
    chosen = sorted(ids, reverse=True)[:limit]
    found = find(connection, tenant, chosen)
    return Piece({one: found[one] for one in chosen}, revocations)


def batch(connection: sa.Connection, after: int, *, most: int, most_bytes: int) -> list[SpooledRow]:
    """The next writes behind a sequence, at least one if there is any."""
    rows: list[SpooledRow] = []
    size = 0
    for row in connection.exec_driver_sql(_BATCH, (after, most)):
        size += row.size
        if rows and size > most_bytes:
            break
        rows.append(SpooledRow(*row))
    return rows
