"""Records in an SQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from core.errors import (
    IdempotencyKeyReusedError,
    RecordCorruptError,
    StoreUnavailableError,
)
from core.idempotency import Claim, KeyLimits
from core.later import Later, Sequel
from core.records import Entry, Listing, Place, Record, Status, id_of
from core.store.database import Database
from core.store.sql_idempotency import KeyBook
from core.store.sql_lookups import LOOKED_UP_AT_ONCE, GroupLookups
from core.store.sql_rows import entry_of, found_in, has_id, record_of, stored_id, stored_id_or_none
from core.store.sql_schema import create_or_check
from core.store.sql_statements import Statements
from core.store.sql_writer import GroupCommitWriter
from core.store.sql_writes import Insert, Probe, Purge, PutOnce, Revoke, Tools
from core.store.sqlite import SqliteDatabase
from core.store.store_url import parse_store_url
from core.store.unreadable import UnreadableText, tenant_of

_T = TypeVar("_T")

_READERS: Final = 4
#: Threads for listings: these may have to walk over all that a tenant has, and nobody else waits for that.
_LISTERS: Final = 2
_MAX_WAITING: Final = 10_000
_MAX_WAITING_BYTES: Final = 64 << 20
#: Records that one transaction deletes: whoever writes waits for no more than these.
_PURGED_AT_ONCE: Final = 100

_log = structlog.get_logger("core.store")


def _rows(statement: str, values: tuple[object, ...], connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.exec_driver_sql(statement, values).all()


class SqlStore:
    """The Store protocol over an SQL database.

    One thread writes, in groups; readers have connections and threads of their own and never wait
    for it, nor those who look for one record for those who list. Open with ``SqlStore.open``; close
    with ``close``.
    """

    def __init__(
        self,
        database: Database,
        *,
        key_limits: KeyLimits = KeyLimits(),  # noqa: B008 - immutable
        max_waiting: int = _MAX_WAITING,
        max_waiting_bytes: int = _MAX_WAITING_BYTES,
    ) -> None:
        """Begin to work with a database, which is closed with the store. See ``open``."""
        self._database = database
        self._statements = Statements(database.sql)
        self._tools = Tools(database, self._statements, KeyBook(key_limits, database))
        self._writer = GroupCommitWriter(
            database, max_waiting=max_waiting, max_waiting_bytes=max_waiting_bytes
        )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sigil-store-reader")
        self._listers = ThreadPoolExecutor(_LISTERS, thread_name_prefix="sigil-store-lister")
        self._lookups = GroupLookups(self._readers, _READERS, self._call_reader, self._statements)
        self._closed = False
        self._writer.start()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        key_limits: KeyLimits = KeyLimits(),  # noqa: B008 - immutable
        max_waiting: int = _MAX_WAITING,
        max_waiting_bytes: int = _MAX_WAITING_BYTES,
    ) -> SqlStore:
        """Open the database, and create the tables; a missing file is created, with its folder.

        Args:
            url: ``sqlite:///relative``, ``sqlite:////absolute`` or ``postgresql://user:password@host/database``.
            key_limits: how many idempotency keys are remembered, and how long.
            max_waiting: writes that may wait for the writer.
            max_waiting_bytes: payload bytes that may wait, about.

        Raises:
            ValueError: the URL cannot be used.
            StoreSchemaError: another program's database, or a newer version's.
            StoreUnavailableError: locked, damaged, out of reach, or not writable.
            OSError: a file cannot be created or opened.
        """
        database = _opened(parse_store_url(url))
        return cls(
            database, key_limits=key_limits, max_waiting=max_waiting, max_waiting_bytes=max_waiting_bytes
        )

    @property
    def waiting_writes(self) -> int:
        """Writes that wait for the writer."""
        return self._writer.waiting

    @property
    def database_file(self) -> Path | None:
        """Where an SQLite database is; None of another."""
        return self._database.path if isinstance(self._database, SqliteDatabase) else None

    def on_commit(self, tell: Callable[[int], None]) -> None:
        """Have it told how many writes become durable together; it is called in the writer's thread."""
        self._writer.on_commit = tell

    def start(self) -> None:
        """See Store.start: the writer runs from the beginning."""

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        if records or entries:
            await self._writer.submit(Insert(records, entries, self._tools))

    def put_soon(self, records: Sequence[Record], sequel: Sequel | None = None) -> Later | None:
        """See PromptStore.put_soon."""
        insert = Insert(records, (), self._tools)
        return self._writer.submit_soon(insert, sequel) if insert.size else None

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        earlier = await self._writer.submit(PutOnce(record, claim, self._tools))
        if earlier is None:
            return record
        request_digest, *fields = earlier
        if request_digest != claim.request_digest:
            raise IdempotencyKeyReusedError("the key was used for another request")
        return record_of(fields)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        if not with_payload:
            one = (await self.get_many(tenant, (record_id,))).get(record_id)
            if isinstance(one, RecordCorruptError):
                raise one
            return one
        stored = stored_id_or_none(record_id)
        if stored is None:
            return None
        rows = await self._read(self._readers, partial(_rows, self._statements.get, (tenant, stored)))
        return record_of(rows[0]) if rows else None

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | RecordCorruptError]:
        """See Store.get_many."""
        if not with_payload:
            self._check_open()
            return await self._lookups.submit(tenant, record_ids)
        found: dict[str, Record | RecordCorruptError] = {}
        wanted = [stored for stored in map(stored_id_or_none, record_ids) if stored is not None]
        for first in range(0, len(wanted), LOOKED_UP_AT_ONCE):
            some = wanted[first : first + LOOKED_UP_AT_ONCE]
            statement = self._statements.get_some(len(some), with_payload=True)
            for row in await self._read(self._readers, partial(_rows, statement, (tenant, *some))):
                one = found_in(row)
                found[id_of(one)] = one
        return found

    def find_soon(self, tenant: str, record_ids: Sequence[str]) -> Later:
        """See PromptStore.find_soon."""
        self._check_open()
        return self._lookups.submit_soon(tenant, record_ids)

    async def list(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None,
        status: Status | None,
        now_ms: int,
        with_payload: bool = False,
    ) -> Listing:
        """See Store.list."""
        values: list[object] = [tenant]
        if before is not None:
            values.append(stored_id(before))
        if status in {"active", "expired"}:
            values.append(now_ms)
        statement = self._statements.page(status, continued=before is not None, with_payload=with_payload)
        nameless = 0
        while True:
            asked = limit + 2 * nameless
            rows = await self._read(self._listers, partial(_rows, statement, (*values, asked)))
            named = [row for row in rows if has_id(row)]
            nameless = len(rows) - len(named)
            if len(rows) < asked or len(named) >= limit:
                break
        if nameless:
            _log.error("stored records have no id", tenant=tenant, records=nameless)
        return Listing([found_in(row) for row in named[:limit]])

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        stored = stored_id_or_none(record_id)
        if stored is None:
            return None
        values = (now_ms, revoked_by, reason)
        revoked: Record | None = await self._writer.submit(Revoke(tenant, stored, values, self._tools))
        return revoked

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries."""
        if after is None:
            read = partial(_rows, self._statements.first_entries, (tenant, limit))
        else:
            read = partial(_rows, self._statements.later_entries, (tenant, *after, limit))
        return [entry_of(row) for row in await self._read(self._listers, read)]

    async def count(self) -> Mapping[str, int]:
        """See Store.count."""
        return await self._read(self._listers, self._count)

    def _count(self, connection: sa.Connection) -> Mapping[str, int]:
        with self._database.patient(connection):
            counts: dict[str, int] = {}
            for stored, count in connection.exec_driver_sql(self._statements.count).all():
                tenant = tenant_of(stored)
                counts[tenant] = counts.get(tenant, 0) + count
            # From tenant to tenant, past all of their entries.
            last: Any = ""
            while last is not None:
                if isinstance(last, UnreadableText):
                    following, value = self._statements.next_tenant_past_unreadable, last.value
                else:
                    following, value = self._statements.next_tenant_with_entries, last
                last = connection.exec_driver_sql(following, (value,)).scalar_one()
                if last is not None:
                    counts.setdefault(tenant_of(last), 0)
        return counts

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge. Others write between each hundred."""
        boundary = stored_id(before)
        purged = 0
        while purged < limit:
            some = min(limit - purged, _PURGED_AT_ONCE)
            deleted: int = await self._writer.submit(Purge(tenant, boundary, some, self._tools))
            purged += deleted
            if deleted < some:
                break
        return purged

    async def probe(self) -> None:
        """See Store.probe."""
        await self._writer.submit(Probe(self._tools))

    async def backup(self, path: Path, progress: Callable[[int, int], None] = lambda *_: None) -> None:
        """Copy an SQLite database as it stands now into a new file, while others read and write it.

        The copy is one file, for its owner alone, checked and on disk when it has its name. Where this
        raises, there is none.

        Args:
            path: of the copy; nothing may be there.
            progress: is called from another thread, with the pages that are copied and those there are; what
                it raises ends the copy and is raised here.

        Raises:
            FileExistsError: something is there.
            BackupError: the copy cannot be made, or the database is damaged, or PostgreSQL's.
            StoreUnavailableError: somebody has taken the database's file away.
            OSError: the file cannot be made.
        """
        await asyncio.to_thread(self._database.back_up, path, progress)

    async def close(self) -> None:
        """See Store.close. May be called again."""
        if self._closed:
            return
        self._closed = True
        # Not by a reader's thread: those may all be busy.
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._listers.shutdown)
        self._database.dispose()

    async def _read(self, threads: ThreadPoolExecutor, work: Callable[[sa.Connection], _T]) -> _T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(threads, self._call_reader, work)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("closed")

    def _call_reader(self, work: Callable[[sa.Connection], _T]) -> _T:
        self._database.check()
        try:
            try:
                with self._database.reading.connect() as connection:
                    return work(connection)
            except DBAPIError as error:
                if not self._database.passes(error):
                    raise
                with self._database.reading.connect() as connection:
                    return work(connection)
        except DBAPIError as error:
            raise self._database.unavailable(error) or StoreUnavailableError("io") from None


def _opened(url: sa.URL) -> Database:
    readers = _READERS + _LISTERS
    if url.get_backend_name() == "sqlite":
        return SqliteDatabase(url, create_or_check, readers=readers)
    # Imported where it is used: the driver takes its time.
    from core.store.postgresql import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase(url, create_or_check, readers=readers)
