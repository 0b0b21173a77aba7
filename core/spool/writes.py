"""Changes of a spool, each in the writer's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self

import sqlalchemy as sa

from core.dnastore.wire import Revoke
from core.errors import DomainError, DuplicateRecordError, StoreUnavailableError
from core.idempotency import Claim
from core.records import Damage, Record
from core.spool.bounds import Bounds
from core.spool.known import Known, Revocation, revoked
from core.spool.reading import find
from core.spool.rows import as_made, checksum_of, record_body, size_of, write_body
from core.store.sql_writer import Write

_TOTALS: Final = (
    "SELECT size + rejected_size, (SELECT at_ms FROM spool_writes ORDER BY sequence LIMIT 1)"
    " FROM spool_totals"
)
_INSERT: Final = (
    "INSERT INTO spool_writes (tenant, record_id, at_ms, size, checksum, body) VALUES (?, ?, ?, ?, ?, ?)"
)
_COUNT: Final = "UPDATE spool_totals SET writes = writes + ?, size = size + ?"
_INSERT_RECORD: Final = "INSERT OR IGNORE INTO spool_records VALUES (?, ?, ?, ?, ?)"
_INSERT_REVOCATION: Final = "INSERT INTO spool_revocations VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_CLAIM: Final = "INSERT OR REPLACE INTO spool_claims VALUES (?, ?, ?, ?, ?, ?)"
_GET_CLAIM: Final = (
    "SELECT request_digest, id, claimed_at_ms FROM spool_claims WHERE tenant = ? AND key_digest = ?"
)
#: The tables that say what a write holds.
CONTENTS: Final = ("spool_records", "spool_revocations", "spool_claims")
#: Bytes of an ordinary write: where it has no room, the spool is full.
ORDINARY: Final = 2048
#: Bytes of the disk that a probe tries to have: those of an ordinary write, in pages.
_MORE: Final = 64 << 10
#: Pages that are given back to the file system at a time, of 4 KiB.
_GIVEN_BACK: Final = 2000
_FREE_PAGES: Final = "PRAGMA freelist_count"


class NewWrite(NamedTuple):
    """A write of one tenant to append."""

    tenant: str
    record_id: str
    body: bytes
    records: Sequence[Record]


class Held(NamedTuple):
    """An idempotency key that an earlier write in the spool has."""

    request_digest: bytes
    record_id: str


def refusal(
    connection: sa.Connection, bounds: Bounds, size: int, now_ms: int
) -> StoreUnavailableError | None:
    """Why the spool does not take so much more, if it does not."""
    used, oldest = connection.exec_driver_sql(_TOTALS).one()
    return _refusal(used, oldest, bounds, size, now_ms)


def _refusal(
    used: int, oldest: int | None, bounds: Bounds, size: int, now_ms: int, *, together: int = 0
) -> StoreUnavailableError | None:
    if used + size > bounds.size or (oldest is not None and now_ms - oldest > bounds.age_ms):
        return StoreUnavailableError("spool_full", retry_after=30)
    room = bounds.room
    # Here, where no other process of the host writes.
    if room is not None and not (room.fits(size, together) and room.take(size)):
        return StoreUnavailableError("full", retry_after=30)
    return None


def _insert(connection: sa.Connection, new: NewWrite, now_ms: int) -> int:
    size = size_of(new.body)
    values = (new.tenant, new.record_id, now_ms, size, checksum_of(new.body), new.body)
    sequence: int = connection.exec_driver_sql(_INSERT, values).lastrowid
    connection.exec_driver_sql(_COUNT, (1, size))
    rows = [
        (one.tenant, one.id, sequence, one.expires_at_ms, int(one.revoked_at_ms is not None))
        for one in new.records
    ]
    if rows:
        connection.exec_driver_sql(_INSERT_RECORD, rows)
    return sequence


class Append(Write):
    """Put writes at the end, all or none. Its result is the last one's sequence; or what is wrong.

    That is not raised, which would undo what others do in the transaction.
    """

    __slots__ = ("bounds", "new", "now_ms", "size")

    def __init__(self, new: Sequence[NewWrite], bounds: Bounds, now_ms: int) -> None:
        self.new = new
        self.bounds = bounds
        self.now_ms = now_ms
        self.size = sum(size_of(one.body) for one in new)

    def apply(self, connection: sa.Connection) -> int | DomainError:
        """See Write.apply."""
        (outcome,) = self.apply_all(connection, [self])
        return outcome

    @classmethod
    def apply_all(cls, connection: sa.Connection, writes: Sequence[Self]) -> Sequence[int | DomainError]:
        """See Write.apply_all. What they have in common is asked once."""
        ids: dict[str, list[str]] = {}
        for write in writes:
            for one in write.new:
                ids.setdefault(one.tenant, []).extend(record.id for record in one.records)
        known: dict[tuple[str, str], Record | Damage] = {
            (tenant, record_id): there.record
            for tenant, wanted in ids.items()
            for record_id, there in find(connection, tenant, wanted).items()
        }
        used, oldest = connection.exec_driver_sql(_TOTALS).one()
        outcomes: list[int | DomainError] = []
        together = 0  # bytes that the disk does not know of yet
        for write in writes:
            error = _refusal(
                used, oldest, write.bounds, write.size, write.now_ms, together=together
            ) or _clash(write.new, known)
            if error is not None:
                outcomes.append(error)
                continue
            sequences = [_insert(connection, one, write.now_ms) for one in write.new]
            outcomes.append(sequences[-1])
            used += write.size
            together += write.size
        return outcomes


def _clash(new: Sequence[NewWrite], known: dict[tuple[str, str], Record | Damage]) -> DomainError | None:
    """What is wrong with records that others here have the ids of; new ones are known from now on."""
    fresh: dict[tuple[str, str], Record | Damage] = {}
    for one in new:
        for record in one.records:
            key = (one.tenant, record.id)
            there = known.get(key) or fresh.get(key)
            if there is None:
                fresh[key] = record
            elif isinstance(there, Exception) or as_made(there) != as_made(record):
                return DuplicateRecordError("another record with this id waits already")
    known.update(fresh)
    return None


class AppendOnce(Write):
    """Put a write with a claim at the end. Its result is the sequence, or ``Held``, or what is wrong."""

    __slots__ = ("append", "claim", "lifetime_ms", "size")

    def __init__(self, new: NewWrite, claim: Claim, lifetime_ms: int, bounds: Bounds, now_ms: int) -> None:
        self.append = Append([new], bounds, now_ms)
        self.claim = claim
        self.lifetime_ms = lifetime_ms
        self.size = self.append.size

    def apply(self, connection: sa.Connection) -> int | Held | DomainError:
        """See Write.apply."""
        (new,) = self.append.new
        (record,) = new.records
        held = claim_in(
            connection, new.tenant, self.claim, now_ms=record.created_at_ms, lifetime_ms=self.lifetime_ms
        )
        if held is not None:
            return held
        sequence = self.append.apply(connection)
        if isinstance(sequence, int):
            digests = (self.claim.key_digest, self.claim.request_digest)
            values = (new.tenant, *digests, record.id, sequence, record.created_at_ms)
            connection.exec_driver_sql(_INSERT_CLAIM, values)
        return sequence


def claim_in(
    connection: sa.Connection, tenant: str, claim: Claim, *, now_ms: int, lifetime_ms: int
) -> Held | None:
    """Who in the spool has an idempotency key; None where it is free, or has become so again."""
    row = connection.exec_driver_sql(_GET_CLAIM, (tenant, claim.key_digest)).one_or_none()
    if row is None or abs(now_ms - row[2]) >= lifetime_ms:
        return None
    return Held(row[0], row[1])


class AppendRevocation(Write):
    """Revoke a record that waits. Its result is ``Known``, None if it waits no more, or what is wrong."""

    __slots__ = ("bounds", "now_ms", "revoke", "size")

    def __init__(self, revoke: Revoke, bounds: Bounds, now_ms: int) -> None:
        self.revoke = revoke
        self.bounds = bounds
        self.now_ms = now_ms
        self.size = size_of(b"")

    def apply(self, connection: sa.Connection) -> Known | DomainError | None:
        """See Write.apply."""
        tenant, record_id, reason, revoked_by, at_ms = (
            getattr(self.revoke, name) for name in ("tenant", "id", "reason", "revoked_by", "now_ms")
        )
        known = find(connection, tenant, [record_id]).get(record_id)
        if known is None or isinstance(known.record, Exception):
            return known if known is None else known.record  # type: ignore[return-value]
        if known.record.revoked_at_ms is not None:
            return known
        if (error := refusal(connection, self.bounds, self.size, self.now_ms)) is not None:
            return error
        sequence = _insert(connection, NewWrite(tenant, record_id, write_body(self.revoke), ()), self.now_ms)
        revocation = Revocation(at_ms, revoked_by, reason)
        values = (tenant, record_id, sequence, at_ms, revoked_by, reason, record_body(known.record))
        connection.exec_driver_sql(_INSERT_REVOCATION, values)
        return Known(revoked(known.record, revocation), revocation)


class Settle(Write):
    """Take out what the store has, and set aside what it will never take, with the reason."""

    __slots__ = ("done", "now_ms", "rejected", "size")

    def __init__(self, done: Sequence[int], rejected: Sequence[tuple[int, str]], now_ms: int) -> None:
        self.done = done
        self.rejected = rejected
        self.now_ms = now_ms
        self.size = 0

    def apply(self, connection: sa.Connection) -> None:
        """See Write.apply."""
        for sequence, reason in self.rejected:
            _set_aside(connection, sequence, reason, self.now_ms)
        count, size = 0, 0
        for sequence in self.done:
            values = (sequence,)
            row = connection.exec_driver_sql(
                "SELECT size FROM spool_writes WHERE sequence = ?", values
            ).one_or_none()
            if row is None:  # somebody else was quicker
                continue
            count, size = count + 1, size + row[0]
            connection.exec_driver_sql("DELETE FROM spool_writes WHERE sequence = ?", values)
            for table in CONTENTS:
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE sequence = ?", values)  # noqa: S608 - our own names
        connection.exec_driver_sql(_COUNT, (-count, -size))


def _set_aside(connection: sa.Connection, sequence: int, reason: str, now_ms: int) -> None:
    moved = connection.exec_driver_sql(
        "INSERT INTO spool_rejected SELECT sequence, tenant, record_id, at_ms, size, checksum, body, ?, ?"
        " FROM spool_writes WHERE sequence = ?",
        (reason, now_ms, sequence),
    ).rowcount
    if moved:
        values = (sequence,)
        size = connection.exec_driver_sql(
            "SELECT size FROM spool_rejected WHERE sequence = ?", values
        ).scalar_one()
        connection.exec_driver_sql("DELETE FROM spool_writes WHERE sequence = ?", values)
        connection.exec_driver_sql(
            "UPDATE spool_totals SET writes = writes - 1, size = size - ?, rejected = rejected + 1,"
            " rejected_size = rejected_size + ?",
            (size, size),
        )


class Retry(Write):
    """Put all that was rejected back to the end, in its order. Its result is how many writes it were."""

    __slots__ = ("now_ms", "size")

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.size = 0

    def apply(self, connection: sa.Connection) -> int:
        """See Write.apply."""
        rows: Sequence[Any] = connection.exec_driver_sql(
            "SELECT sequence, size FROM spool_rejected ORDER BY sequence"
        ).all()
        for sequence, size in rows:
            again = connection.exec_driver_sql(
                "INSERT INTO spool_writes (tenant, record_id, at_ms, size, checksum, body)"
                " SELECT tenant, record_id, ?, size, checksum, body FROM spool_rejected WHERE sequence = ?",
                (self.now_ms, sequence),
            ).lastrowid
            for table in CONTENTS:
                connection.exec_driver_sql(
                    f"UPDATE {table} SET sequence = ? WHERE sequence = ?",  # noqa: S608 - our own names
                    (again, sequence),
                )
            connection.exec_driver_sql("DELETE FROM spool_rejected WHERE sequence = ?", (sequence,))
            connection.exec_driver_sql(
                "UPDATE spool_totals SET writes = writes + 1, size = size + ?, rejected = rejected - 1,"
                " rejected_size = rejected_size - ?",
                (size, size),
            )
        return len(rows)


class Shrink(Write):
    """Give the file system back some of what the spool does not need. Its result: how many pages are left."""

    __slots__ = ("pages", "size")

    def __init__(self, pages: int = _GIVEN_BACK) -> None:
        self.pages = pages
        self.size = 0

    def apply(self, connection: sa.Connection) -> int:
        """See Write.apply."""
        free: int = connection.exec_driver_sql(_FREE_PAGES).scalar_one()
        cursor = connection.connection.cursor()
        for _ in range(min(self.pages, free)):
            # The driver takes but the first step of this statement, which frees a page, whatever it is told.
            cursor.execute("PRAGMA incremental_vacuum(1)")
        cursor.close()
        left: int = connection.exec_driver_sql(_FREE_PAGES).scalar_one()
        return left


class Probe(Write):
    """Write something, if the spool takes more. Its result is None, or what is wrong."""

    __slots__ = ("bounds", "now_ms", "size")

    def __init__(self, bounds: Bounds, now_ms: int) -> None:
        self.bounds = bounds
        self.now_ms = now_ms
        self.size = 0

    def apply(self, connection: sa.Connection) -> StoreUnavailableError | None:
        """See Write.apply."""
        connection.exec_driver_sql("UPDATE spool_totals SET probes = probes + 1")
        room = self.bounds.room
        # By asking for it: a quota is told by nothing else.
        if room is not None and not (room.fits(ORDINARY) and room.take(more=_MORE)):
            return StoreUnavailableError("full", retry_after=30)
        return refusal(connection, self.bounds, ORDINARY, self.now_ms)
