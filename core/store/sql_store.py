"""Records in an SQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from core.errors import (
    IdempotencyKeyReusedError,
    RecordCorruptError,
    StoreSchemaError,
    StoreUnavailableError,
)
from core.idempotency import Claim, KeyLimits
from core.records import Record, Status
from core.store import sqlite
from core.store.sql_idempotency import KeyBook
from core.store.sql_schema import create_or_check, probe, sigils
from core.store.sql_writer import GroupCommitWriter, Write, unavailable

_T = TypeVar("_T")

_READERS: Final = 4
#: Threads for listings: these may have to walk over all that a tenant has, and nobody else waits for that.
_LISTERS: Final = 2
_MAX_WAITING: Final = 10_000
_MAX_WAITING_BYTES: Final = 64 << 20
#: Records that one statement looks up: whoever wants more lets others read in between.
_LOOKED_UP_AT_ONCE: Final = 100
#: What a waiting record holds beside its payload, about.
_RECORD_OVERHEAD: Final = 1024

_WITHOUT_PAYLOAD = [column for column in sigils.c if column.name not in {"row", "payload"}]
_WITH_PAYLOAD = [*_WITHOUT_PAYLOAD, sigils.c.payload]
_NAMES = [str(column.name) for column in _WITH_PAYLOAD]

# On the hot paths in SQL: compiled statements cost up to 2.4 times as much.
_GET = f"SELECT {', '.join(_NAMES)} FROM sigils WHERE tenant = ? AND id = ?"  # noqa: S608 - our own names
_GET_WITHOUT_PAYLOAD = _GET.replace(", payload FROM", " FROM")
_GET_SOME = _GET_WITHOUT_PAYLOAD.removesuffix("= ?") + "IN"
_GET_CLAIMED = (
    f"SELECT request_digest, {', '.join(_NAMES[:-1])} FROM sigil_idempotency_keys"  # noqa: S608 - as above
    " JOIN sigils USING (tenant) WHERE tenant = ? AND key_digest = ? AND id = record_id"
)
_INSERT = (
    "INSERT INTO sigils (tenant, id, sigil, key_id, issued_at_ms, expires_at_ms, canonical_sha256,"
    " created_at_ms, created_by, revoked_at_ms, revoked_by, revoked_reason, payload)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _stored_id(record_id: str) -> bytes:
    return bytes.fromhex(record_id.replace("-", ""))


def _row(record: Record) -> tuple[object, ...]:
    return (
        record.tenant,
        _stored_id(record.id),
        record.sigil,
        record.key_id,
        record.issued_at_ms,
        record.expires_at_ms,
        record.canonical_sha256,
        record.created_at_ms,
        record.created_by,
        record.revoked_at_ms,
        record.revoked_by,
        record.revoked_reason,
        record.payload,
    )


def _record(row: Sequence[Any]) -> Record:
    """Build the record of a row.

    Raises:
        RecordCorruptError: a column holds another type than this service writes; SQLite lets others
            write what they like.
    """
    # A listing's row is shorter: it ends before the payload.
    stored = dict(zip(_NAMES, row, strict=False))
    try:
        stored["id"] = str(UUID(stored["id"].hex()))
        stored.setdefault("payload", None)
        return msgspec.convert(stored, Record, builtin_types=(bytes,))
    except (AttributeError, TypeError, ValueError) as error:
        raise RecordCorruptError(str(stored["id"]), f"columns: {error}") from None


def _rows(statement: str, values: tuple[object, ...], connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.exec_driver_sql(statement, values).all()


def _of(tenant: str, record_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(sigils.c.tenant == tenant, sigils.c.id == _stored_id(record_id))


class _Insert(Write):
    __slots__ = ("rows", "size")

    def __init__(self, records: Sequence[Record]) -> None:
        self.rows = [_row(record) for record in records]
        self.size = sum(len(record.payload or b"") + _RECORD_OVERHEAD for record in records)

    def apply(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(_INSERT, self.rows)

    @classmethod
    def apply_all(cls, connection: sa.Connection, writes: Sequence[Self]) -> Sequence[None]:
        connection.exec_driver_sql(_INSERT, [row for write in writes for row in write.rows])
        return [None] * len(writes)


class _PutOnce(Write):
    """Its result is None, or of the key's earlier use the request's digest, then the record."""

    __slots__ = ("claim", "keys", "record", "size")

    def __init__(self, record: Record, claim: Claim, keys: KeyBook) -> None:
        self.record = record
        self.claim = claim
        self.keys = keys
        self.size = len(record.payload or b"") + _RECORD_OVERHEAD

    def apply(self, connection: sa.Connection) -> sa.Row[Any] | None:
        record = self.record
        claimed = self.keys.claim(
            connection,
            self.claim,
            tenant=record.tenant,
            record_id=_stored_id(record.id),
            now_ms=record.created_at_ms,
        )
        if claimed:
            connection.exec_driver_sql(_INSERT, _row(record))
            return None
        # What is wrong with it is raised by the caller: an error here would undo the others' writes.
        return connection.exec_driver_sql(_GET_CLAIMED, (record.tenant, self.claim.key_digest)).one()


class _Revoke(Write):
    __slots__ = ("now_ms", "reason", "record_id", "revoked_by", "size", "tenant")

    def __init__(self, tenant: str, record_id: str, reason: str, revoked_by: str, now_ms: int) -> None:
        self.tenant = tenant
        self.record_id = record_id
        self.reason = reason
        self.revoked_by = revoked_by
        self.now_ms = now_ms
        self.size = _RECORD_OVERHEAD

    def apply(self, connection: sa.Connection) -> Record | None:
        chosen = _of(self.tenant, self.record_id)
        connection.execute(
            sigils.update()
            .where(chosen, sigils.c.revoked_at_ms.is_(None))
            .values(revoked_at_ms=self.now_ms, revoked_by=self.revoked_by, revoked_reason=self.reason)
        )
        row = connection.execute(sa.select(*_WITHOUT_PAYLOAD).where(chosen)).one_or_none()
        return None if row is None else _record(row)


class _Probe(Write):
    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def apply(self, connection: sa.Connection) -> None:
        connection.execute(probe.update().values(count=probe.c.count + 1))


class SqlStore:
    """The Store protocol over an SQLite file.

    One thread writes, in groups; readers have connections and threads of their own and never wait
    for it, nor those who look for one record for those who list. Open with ``SqlStore.open``; close
    with ``close``.
    """

    def __init__(
        self,
        writing: sa.Engine,
        reading: sa.Engine,
        files: sqlite.FilesInPlace,
        *,
        key_limits: KeyLimits,
        max_waiting: int,
        max_waiting_bytes: int,
    ) -> None:
        self._writing = writing
        self._reading = reading
        self._files = files
        self._keys = KeyBook(key_limits)
        self._writer = GroupCommitWriter(
            writing, files.check, max_waiting=max_waiting, max_waiting_bytes=max_waiting_bytes
        )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sigil-store-reader")
        self._listers = ThreadPoolExecutor(_LISTERS, thread_name_prefix="sigil-store-lister")
        self._closed = False

    @classmethod
    def open(
        cls,
        url: str,
        *,
        key_limits: KeyLimits = KeyLimits(),  # noqa: B008 - immutable
        max_waiting: int = _MAX_WAITING,
        max_waiting_bytes: int = _MAX_WAITING_BYTES,
    ) -> SqlStore:
        """Open the database, which is created, with its folder, where it is missing.

        Args:
            url: as SQLAlchemy spells it, ``sqlite:///relative`` or ``sqlite:////absolute``.
            key_limits: how many idempotency keys are remembered, and how long.
            max_waiting: writes that may wait for the writer.
            max_waiting_bytes: payload bytes that may wait, about.

        Raises:
            ValueError: the URL names no SQLite file.
            StoreSchemaError: another program's database, or a newer version's.
            StoreUnavailableError: locked, damaged, or not writable.
            OSError: the file cannot be created or opened.
        """
        parsed = sa.make_url(url)
        path = sqlite.database_path(parsed)
        sqlite.create_private_file(path)
        writing = sqlite.writing_engine(parsed)
        reading = sqlite.reading_engine(parsed, _READERS + _LISTERS)
        try:
            with writing.connect() as connection, connection.begin():
                create_or_check(connection)
            # One reader stays open from now on. When SQLite's last connection closes, its log goes
            # too, and on a full disk it could not be made again: then not even reads would work.
            with reading.connect():
                pass
        except DBAPIError as error:
            reading.dispose()
            writing.dispose()
            if "not a database" in str(error.orig):
                raise StoreSchemaError("the file is not an SQLite database") from None
            raise unavailable(error) or StoreUnavailableError("io") from None
        except BaseException:
            reading.dispose()
            writing.dispose()
            raise
        store = cls(
            writing,
            reading,
            sqlite.FilesInPlace(path),
            key_limits=key_limits,
            max_waiting=max_waiting,
            max_waiting_bytes=max_waiting_bytes,
        )
        store._writer.start()
        return store

    async def put(self, records: Sequence[Record]) -> None:
        """See Store.put."""
        if records:
            await self._writer.submit(_Insert(records))

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        earlier = await self._writer.submit(_PutOnce(record, claim, self._keys))
        if earlier is None:
            return record
        request_digest, *fields = earlier
        if request_digest != claim.request_digest:
            raise IdempotencyKeyReusedError("the key was used for another request")
        return _record(fields)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        statement = _GET if with_payload else _GET_WITHOUT_PAYLOAD
        key = (tenant, _stored_id(record_id))
        row = await self._read(
            self._readers, lambda connection: connection.exec_driver_sql(statement, key).one_or_none()
        )
        return None if row is None else _record(row)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str]
    ) -> Mapping[str, Record | RecordCorruptError]:
        """See Store.get_many."""
        found: dict[str, Record | RecordCorruptError] = {}
        for first in range(0, len(record_ids), _LOOKED_UP_AT_ONCE):
            some = record_ids[first : first + _LOOKED_UP_AT_ONCE]
            statement = f"{_GET_SOME} ({', '.join('?' * len(some))})"
            values = (tenant, *map(_stored_id, some))
            for row in await self._read(self._readers, partial(_rows, statement, values)):
                try:
                    record = _record(row)
                except RecordCorruptError as error:
                    found[error.record_id] = error
                else:
                    found[record.id] = record
        return found

    async def list(
        self, tenant: str, *, limit: int, before: str | None, status: Status | None, now_ms: int
    ) -> Sequence[Record]:
        """See Store.list."""
        query = sa.select(*_WITHOUT_PAYLOAD).where(sigils.c.tenant == tenant)
        if before is not None:
            query = query.where(sigils.c.id < _stored_id(before))
        unrevoked = sigils.c.revoked_at_ms.is_(None)
        if status == "revoked":
            query = query.where(sigils.c.revoked_at_ms.is_not(None))
        elif status == "expired":
            # A partial index serves only queries that repeat its condition literally.
            has_expiry = sigils.c.expires_at_ms > sa.literal_column("0")
            query = query.where(has_expiry, sigils.c.expires_at_ms <= now_ms, unrevoked)
        elif status == "active":
            unexpired = sa.or_(sigils.c.expires_at_ms == 0, sigils.c.expires_at_ms > now_ms)
            query = query.where(unexpired, unrevoked)
        query = query.order_by(sigils.c.id.desc()).limit(limit)
        rows = await self._read(self._listers, lambda connection: connection.execute(query).all())
        return [_record(row) for row in rows]

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        revoked: Record | None = await self._writer.submit(
            _Revoke(tenant, record_id, reason, revoked_by, now_ms)
        )
        return revoked

    async def probe(self) -> None:
        """See Store.probe."""
        await self._writer.submit(_Probe())

    async def close(self) -> None:
        """See Store.close. May be called again."""
        if self._closed:
            return
        self._closed = True
        # Not by a reader's thread: those may all be busy.
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._listers.shutdown)
        self._reading.dispose()
        self._writing.dispose()

    async def _read(self, threads: ThreadPoolExecutor, work: Callable[[sa.Connection], _T]) -> _T:
        if self._closed:
            raise StoreUnavailableError("closed")
        return await asyncio.get_running_loop().run_in_executor(threads, self._call_reader, work)

    def _call_reader(self, work: Callable[[sa.Connection], _T]) -> _T:
        self._files.check()
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise unavailable(error) or StoreUnavailableError("io") from None
