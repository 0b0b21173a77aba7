"""A durable queue of writes in one SQLite file, which the processes of one host share."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from core.dnastore.wire import Put, PutOnce, Revoke, WireRecord
from core.errors import DomainError, StoreUnavailableError
from core.idempotency import Claim
from core.records import Entry, Record, Status
from core.spool import reading
from core.spool.bounds import Bounds
from core.spool.known import Known
from core.spool.looking import Shown, everything
from core.spool.reading import Piece, State
from core.spool.room import Room
from core.spool.rows import SpooledRow, write_body
from core.spool.schema import create_or_check, prepare_file
from core.spool.writes import (
    ORDINARY,
    Append,
    AppendOnce,
    AppendRevocation,
    Held,
    NewWrite,
    Probe,
    Retry,
    Settle,
    Shrink,
    claim_in,
)
from core.store.sql_writer import GroupCommitWriter, Write
from core.store.sqlite import SqliteDatabase, create_private_file

_log = structlog.get_logger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")

DEFAULT_BOUNDS: Final = Bounds(1 << 30, 604_800_000)
_READERS: Final = 2
_MAX_WAITING: Final = 10_000
_MAX_WAITING_BYTES: Final = 64 << 20
#: What SQLite says where the disk takes nothing more: ``io`` where that is a quota's doing.
_NO_ROOM: Final = frozenset({"full", "io"})
#: Writes that are taken out at a time where there is no room.
_FEW: Final = 50
#: Seconds for which it is remembered that nothing could be written.
_REMEMBERED: Final = 10.0


def wall_clock() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class Spool:
    """Writes that wait for a store, in their order, and those that it refused for good.

    What is appended is durable when the call returns: one thread writes, in groups. Several processes may
    have the file open; each sees at once what the others have done. Open with ``Spool.open``, close with
    ``close``. For one event loop.

    Every method that is awaited may raise StoreUnavailableError.
    """

    def __init__(
        self, database: SqliteDatabase, bounds: Bounds, clock: Callable[[], int], room: Room
    ) -> None:
        self.path = database.path
        self._database = database
        self._room = room
        # Why nothing could be written, and when.
        self._refused: tuple[str, float] | None = None
        #: Whether its file has to become shorter before others may use its disk.
        self.is_short = not room.fits(0)
        self._bounds = bounds._replace(room=room)
        self._clock = clock
        self._writer = GroupCommitWriter(
            database, max_waiting=_MAX_WAITING, max_waiting_bytes=_MAX_WAITING_BYTES
        )
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="sigil-spool-reader")
        # For the event loop's thread alone; it asks for one row that is in memory.
        self._watching: Any = database.reading.raw_connection()
        self._version: object = None
        self._state = State(0, 0, 0, 0, 0, 0, 0)
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, bounds: Bounds = DEFAULT_BOUNDS, clock: Callable[[], int] = wall_clock
    ) -> Spool:
        """Open the file, which is created, with its folder, for its owner alone where it is missing.

        Args:
            path: of the file.
            bounds: what it takes.
            clock: milliseconds since the Unix epoch.

        Raises:
            StoreSchemaError: another program's database, or a newer version's.
            StoreUnavailableError: locked, damaged, or not writable.
            OSError: the file cannot be created or opened.
        """
        create_private_file(path)
        prepare_file(path)
        room = Room(path)
        try:
            database = _database(path, room)
        except StoreUnavailableError as error:
            if error.reason not in _NO_ROOM:
                raise
            room.release()
            database = _database(path, room)
        # What a process that was killed on a full disk has left.
        if not room.fits(0) and not room.fold():
            room.release()
            room.fold()
        try:
            spool = cls(database, bounds, clock, room)
            spool.state()
        except BaseException:
            database.dispose()
            raise
        spool._writer.start()
        return spool

    @property
    def bounds(self) -> Bounds:
        """What it takes."""
        return self._bounds

    # -- appending -----------------------------------------------------------------------------

    async def append(self, records: Sequence[Record], entries: Sequence[Entry]) -> int:
        """Put a write at the end; one for each tenant, all or none. Returns the last one's sequence.

        Raises:
            DuplicateRecordError: a record with the same id and another content waits.
        """
        write = Append(list(_puts(records, entries)), self._bounds, self._clock())
        sequence: int = await self._submit(write)
        return sequence

    async def append_once(self, record: Record, claim: Claim, lifetime_ms: int) -> int | Held:
        """Put a record with an idempotency key at the end; or tell who has the key here.

        Raises:
            DuplicateRecordError: a record with the same id and another content waits.
        """
        body = write_body(PutOnce(WireRecord.of(record), claim))
        new = NewWrite(record.tenant, record.id, body, (record,))
        write = AppendOnce(new, claim, lifetime_ms, self._bounds, self._clock())
        outcome: int | Held = await self._submit(write)
        return outcome

    async def append_revocation(self, revoke: Revoke) -> Known | None:
        """Revoke a record that waits, behind it; what is known of it then. None: it waits no more.

        Raises:
            RecordCorruptError: it cannot be read.
        """
        known: Known | None = await self._submit(AppendRevocation(revoke, self._bounds, self._clock()))
        return known

    async def probe(self) -> None:
        """Write something; raises if nothing more can be appended."""
        await self._submit(Probe(self._bounds, self._clock()))

    # -- forwarding ----------------------------------------------------------------------------

    async def batch(self, after: int, *, most: int, most_bytes: int) -> list[SpooledRow]:
        """The next writes behind a sequence, in their order."""
        return await self._read(partial(reading.batch, after=after, most=most, most_bytes=most_bytes))

    async def settle(self, done: Sequence[int], rejected: Sequence[tuple[int, str]] = ()) -> None:
        """Take writes out that the store has; set aside, with the reason, those that it will never take.

        On a full disk, too: with the room that is kept for that.
        """
        if not self.is_short:
            try:
                await self._submit(Settle(done, rejected, self._clock()))
            except StoreUnavailableError as error:
                if error.reason not in _NO_ROOM:
                    raise
            else:
                return
        await self._make_room()
        few = _FEW
        while done:
            try:
                await self._submit(Settle(done[:few], (), self._clock()))
                done = done[few:]
            except StoreUnavailableError as error:
                if error.reason not in _NO_ROOM or few == 1:
                    raise
                few //= 2
            await asyncio.to_thread(self._room.fold)
        while await self.shrink():
            pass
        if rejected:  # last, as they take room
            await self._submit(Settle((), rejected, self._clock()))

    async def retry(self) -> int:
        """Put all that was set aside back to the end; how many writes it were."""
        count: int = await self._submit(Retry(self._clock()))
        return count

    async def shrink(self) -> bool:
        """Give the file system back some of what the spool does not need; whether there is more."""
        few = max(self._room.log_pages // 4, 1)
        try:
            left: int = await self._submit(Shrink(few) if self.is_short else Shrink())
        except StoreUnavailableError as error:
            if error.reason not in _NO_ROOM:
                raise
            await self._make_room()
            left = await self._submit(Shrink(few))
        # The file becomes shorter only now.
        await asyncio.to_thread(self._room.fold)
        if not left and not self.state().writes:
            self._room.keep_little()
        if not left:
            self.is_short = False
            if self._room.fits(0) and self._room.take():
                self._has_room()
        return left > 0

    async def _make_room(self) -> None:
        self.is_short = True
        self._room.release()
        await asyncio.to_thread(self._room.fold)

    # -- looking -------------------------------------------------------------------------------

    def state(self) -> State:
        """What lies in it now. Never waits: costs some microseconds while nothing has changed.

        Raises:
            StoreUnavailableError: the file cannot be read.
        """
        if self._closed:
            raise StoreUnavailableError("closed")
        self._database.check()
        try:
            return self._look()
        except sqlite3.Error:
            raise StoreUnavailableError("io") from None

    @property
    def seen(self) -> State:
        """What lay in it when it was looked at last."""
        return self._state

    @property
    def oldest_seconds(self) -> float:
        """For how long the oldest write has waited."""
        at_ms = self._state.first_at_ms
        return max(self._clock() - at_ms, 0) / 1000 if at_ms else 0.0

    @property
    def left(self) -> int:
        """Bytes that more writes may take, about, as it was looked at last."""
        return max(self._bounds.size - self._state.size - self._state.rejected_size, 0)

    @property
    def is_full(self) -> bool:
        """Whether it takes nothing more, as it was looked at last."""
        if self.is_short or self._has_refused("full") or not self._room.fits(ORDINARY):
            return True
        return self.left < ORDINARY or self.oldest_seconds * 1000 > self._bounds.age_ms

    @property
    def is_failing(self) -> bool:
        """Whether its file could not be written when that was tried last."""
        return self._has_refused("io")

    async def find(self, tenant: str, ids: Sequence[str]) -> Mapping[str, Known]:
        """What is known of these records; nothing of those that do not wait."""
        if not ids or self.state().is_empty:
            return {}
        return await self._read(partial(reading.find, tenant=tenant, ids=ids))

    async def claimed(self, tenant: str, claim: Claim, *, now_ms: int, lifetime_ms: int) -> Held | None:
        """Who in the spool has an idempotency key."""
        if self.state().is_empty:
            return None
        return await self._read(
            partial(claim_in, tenant=tenant, claim=claim, now_ms=now_ms, lifetime_ms=lifetime_ms)
        )

    async def piece(
        self, tenant: str, *, limit: int, before: str | None, status: Status | None, now_ms: int
    ) -> Piece:
        """At most ``limit`` records that stand so, newest first, and the tenant's revocations."""
        if self.state().is_empty:
            return Piece({}, {})
        return await self._read(
            partial(reading.piece, tenant=tenant, limit=limit, before=before, status=status, now_ms=now_ms)
        )

    async def look(
        self, work: Callable[Concatenate[Iterator[Shown], _P], _T], *args: _P.args, **more: _P.kwargs
    ) -> _T:
        """Do something with all that lies in it, as it is at one moment; in a reader's thread."""
        return await self._read(lambda connection: work(everything(connection), *args, **more))

    async def close(self) -> None:
        """Write what was accepted, then refuse everything. May be called again."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._writer.close)
        await asyncio.to_thread(self._readers.shutdown)
        self._watching.close()
        self._database.dispose()

    def _look(self) -> State:
        cursor = self._watching.cursor()
        try:
            # Another number after each commit of somebody else's connection, in whatever process.
            version = cursor.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                self._state = State(*cursor.execute(reading.STATE).fetchone())
                self._version = version
        finally:
            cursor.close()
        return self._state

    async def _submit(self, write: Write) -> Any:
        try:
            result = await self._writer.submit(write)
            if isinstance(result, DomainError):  # only handed on in the transaction: it is not the others'
                raise result
        except StoreUnavailableError as error:
            if error.reason in _NO_ROOM:
                self._has_no_room(error.reason)
            raise
        if isinstance(write, Append | AppendOnce | AppendRevocation | Probe):
            self._has_room()
        return result

    def _has_refused(self, reason: str) -> bool:
        return (
            self._refused is not None
            and self._refused[0] == reason
            and time.monotonic() - self._refused[1] < _REMEMBERED
        )

    def _has_no_room(self, reason: str) -> None:
        if self._refused is None:
            _log.error(
                "the spool's disk takes nothing more", reason=reason, path=str(self.path), pid=os.getpid()
            )
        self._refused = reason, time.monotonic()

    def _has_room(self) -> None:
        if self._refused is not None:
            self._refused = None
            _log.warning("the spool's disk takes writes again", path=str(self.path), pid=os.getpid())

    async def _read(self, work: Callable[[sa.Connection], _T]) -> _T:
        if self._closed:
            raise StoreUnavailableError("closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._call_reader, work)

    def _call_reader(self, work: Callable[[sa.Connection], _T]) -> _T:
        self._database.check()
        try:
            with self._database.reading.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                try:
                    return work(connection)
                finally:
                    connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise self._database.unavailable(error) or StoreUnavailableError("io") from None


def _database(path: Path, room: Room) -> SqliteDatabase:
    url = sa.URL.create("sqlite", database=str(path))
    return SqliteDatabase(url, create_or_check, readers=_READERS + 1, log_pages=room.log_pages)


def _puts(records: Sequence[Record], entries: Sequence[Entry]) -> Iterator[NewWrite]:
    for tenant in dict.fromkeys([*(one.tenant for one in records), *(one.tenant for one in entries)]):
        own = [record for record in records if record.tenant == tenant]
        steps = [entry for entry in entries if entry.tenant == tenant]
        body = write_body(Put([WireRecord.of(record) for record in own], steps))
        yield NewWrite(tenant, own[0].id if own else steps[0].record_id, body, own)
