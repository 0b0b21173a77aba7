"""What the writer's thread does for each of the store's calls."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, Self

import sqlalchemy as sa

from core.errors import DuplicateRecordError, StoreUnavailableError
from core.idempotency import Claim
from core.records import Entry, Record
from core.sealed_records import SealedRecords
from core.store.database import Database
from core.store.sql_idempotency import KeyBook
from core.store.sql_rows import Rows, entry_row_of, made_alike, record_of, row_of, rows_of, whole_row
from core.store.sql_statements import Statements
from core.store.sql_writer import Write

#: What a waiting record holds beside its payload, about.
_RECORD_OVERHEAD: Final = 1024
#: How often something may be gone that was in the way a moment ago: another process purges.
_ATTEMPTS: Final = 5

_KEY: Final = itemgetter(0, 1)
_ENTRY_KEY: Final = itemgetter(0, 1, 2)


class Tools(NamedTuple):
    """What writes work with."""

    database: Database
    statements: Statements
    keys: KeyBook


def _size(records: Sequence[Record], entries: Sequence[Entry] = ()) -> int:
    if isinstance(records, SealedRecords):
        payloads = records.payload_bytes
    else:
        payloads = sum([len(record.payload or b"") for record in records])
    return payloads + _RECORD_OVERHEAD * (len(records) + len(entries))


class Insert(Write):
    """Records and entries, all or none."""

    __slots__ = ("_records", "_rows", "database", "entries", "size", "statements")

    def __init__(self, records: Sequence[Record], entries: Sequence[Entry], tools: Tools) -> None:
        """Prepare.

        Raises:
            InvalidRecordError: a record's id is none; what was sealed has one.
        """
        self._records = records
        self._rows = None if isinstance(records, SealedRecords) else rows_of(records)
        self.entries = [entry_row_of(entry) for entry in entries] if entries else []
        self.size = _size(records, entries)
        self.database = tools.database
        self.statements = tools.statements

    @property
    def rows(self) -> Rows:
        """The records' rows."""
        if self._rows is None:
            self._rows = rows_of(self._records)
        return self._rows

    @classmethod
    def apply_at_once(cls, connection: sa.Connection, writes: Sequence[Self]) -> bool:
        """Insert all in a transaction, if nobody has revoked any and there are no entries."""
        rows: list[tuple[object, ...]] = []
        for write in writes:
            fresh, others = write.rows
            if others or write.entries:
                return False
            rows += fresh
        return writes[0].database.insert_at_once(connection, writes[0].statements.insert_fresh, rows)

    def apply(self, connection: sa.Connection) -> None:
        """Insert what is new. What is there already fails the transaction."""
        self.apply_all(connection, [self])

    @classmethod
    def apply_all(cls, connection: sa.Connection, writes: Sequence[Self]) -> Sequence[None]:
        """Insert all in one go."""
        statements = writes[0].statements
        # In the order that other processes take them in, too: else two could wait for each other.
        if fresh := [row for write in writes for row in write.rows.fresh]:
            fresh.sort(key=_KEY)
            connection.exec_driver_sql(statements.insert_fresh, fresh)
        if others := [row for write in writes for row in write.rows.others]:
            others.sort(key=_KEY)
            connection.exec_driver_sql(statements.insert, others)
        if entries := [row for write in writes for row in write.entries]:
            entries.sort(key=_ENTRY_KEY)
            connection.exec_driver_sql(statements.insert_entry, entries)
        return [None] * len(writes)

    def apply_alone(self, connection: sa.Connection) -> None:
        """Insert what is missing, and see that the rest is what it should be."""
        for row in (*map(whole_row, self.rows.fresh), *self.rows.others):
            insert_if_missing(connection, self.statements, row)
        for row in self.entries:
            self._insert_entry_if_missing(connection, row)

    def _insert_entry_if_missing(self, connection: sa.Connection, row: tuple[Any, ...]) -> None:
        if connection.exec_driver_sql(self.statements.insert_entry_if_missing, row).rowcount:
            return
        # Entries are never deleted: what was in the way is there.
        if connection.exec_driver_sql(self.statements.get_entry, row[:3]).one() != row:
            raise DuplicateRecordError("this place in a history is taken")


def insert_if_missing(connection: sa.Connection, statements: Statements, row: tuple[Any, ...]) -> bool:
    """Insert a record's row; False if it is there already.

    Raises:
        DuplicateRecordError: another record is there.
    """
    for _ in range(_ATTEMPTS):
        if connection.exec_driver_sql(statements.insert_if_missing, row).rowcount:
            return True
        found = connection.exec_driver_sql(statements.get, row[:2]).one_or_none()
        if found is not None:
            if made_alike(found, row):
                return False
            raise DuplicateRecordError("another record with this id exists already")
    raise StoreUnavailableError("locked", retry_after=2)


class PutOnce(Write):
    """Its result is None, or of the key's earlier use the request's digest, then the record."""

    __slots__ = ("claim", "record", "row", "size", "tools")

    def __init__(self, record: Record, claim: Claim, tools: Tools) -> None:
        self.record = record
        self.row = row_of(record)
        self.claim = claim
        self.tools = tools
        self.size = _size([record])

    def apply(self, connection: sa.Connection) -> sa.Row[Any] | None:
        """Claim the key, and insert the record if nobody else has it."""
        return self.apply_all(connection, [self])[0]

    @classmethod
    def apply_all(cls, connection: sa.Connection, writes: Sequence[Self]) -> Sequence[sa.Row[Any] | None]:
        """Apply them in their order."""
        cls._lock(connection, writes)
        return [write._keep(connection, alone=False) for write in writes]

    def apply_alone(self, connection: sa.Connection) -> sa.Row[Any] | None:
        """As ``apply``; the record may be there, with a key that has been forgotten since."""
        self._lock(connection, [self])
        return self._keep(connection, alone=True)

    @staticmethod
    def _lock(connection: sa.Connection, writes: Sequence[PutOnce]) -> None:
        database = writes[0].tools.database
        database.lock_tenants(connection, {write.record.tenant for write in writes})

    def _keep(self, connection: sa.Connection, *, alone: bool) -> sa.Row[Any] | None:
        for _ in range(_ATTEMPTS):
            if self._claim(connection):
                if not alone:
                    connection.exec_driver_sql(self.tools.statements.insert, self.row)
                    return None
                if insert_if_missing(connection, self.tools.statements, self.row):
                    return None
            # What is wrong with it is raised by the caller: an error here would undo the others' writes.
            key = (self.record.tenant, self.claim.key_digest)
            found = connection.exec_driver_sql(self.tools.statements.get_claimed, key).one_or_none()
            if found is not None:
                return found
        raise StoreUnavailableError("locked", retry_after=2)

    def _claim(self, connection: sa.Connection) -> bool:
        record = self.record
        stored: Any = self.row[1]
        return self.tools.keys.claim(
            connection, self.claim, tenant=record.tenant, record_id=stored, now_ms=record.created_at_ms
        )


class Revoke(Write):
    """Its result is the record as it stands then, or None."""

    __slots__ = ("key", "size", "statements", "values")

    def __init__(self, tenant: str, record_id: bytes, values: tuple[int, str, str], tools: Tools) -> None:
        """Prepare; the values are time, subject and reason."""
        self.key = (tenant, record_id)
        self.values = values
        self.statements = tools.statements
        self.size = _RECORD_OVERHEAD

    def apply(self, connection: sa.Connection) -> Record | None:
        """Mark it, if nobody has yet."""
        connection.exec_driver_sql(self.statements.revoke, (*self.values, *self.key))
        row = connection.exec_driver_sql(self.statements.get_without_payload, self.key).one_or_none()
        return None if row is None else record_of(row)


class Purge(Write):
    """Its result is how many records it deleted."""

    __slots__ = ("size", "statement", "values")

    def __init__(self, tenant: str, before: bytes, limit: int, tools: Tools) -> None:
        self.values = (tenant, tenant, before, limit)
        self.statement = tools.statements.purge
        self.size = _RECORD_OVERHEAD

    def apply(self, connection: sa.Connection) -> int:
        """Delete the oldest."""
        return connection.exec_driver_sql(self.statement, self.values).rowcount


class Probe(Write):
    """Writes to a row of its own."""

    __slots__ = ("size", "statement")

    def __init__(self, tools: Tools) -> None:
        self.statement = tools.statements.probe
        self.size = 0

    def apply(self, connection: sa.Connection) -> None:
        """Count up."""
        connection.exec_driver_sql(self.statement)
