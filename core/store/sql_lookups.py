"""Lookups of records by their ids: those that are asked for together are looked up together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import sqlalchemy as sa

from core.errors import RecordCorruptError, StoreUnavailableError
from core.gathering import ENOUGH, when_gathered
from core.later import Later, Settled
from core.records import Record, id_of
from core.store.sql_rows import found_in, stored_id_or_none
from core.store.sql_statements import Statements

#: Records that one statement looks up: whoever wants more lets others read in between.
LOOKED_UP_AT_ONCE: Final = 100
#: Records after which a thread takes no more lookups together.
_ENOUGH_RECORDS: Final = 1000
#: Seconds after which another thread helps those who wait.
_PATIENCE: Final = 0.01

Found = Mapping[str, Record | RecordCorruptError]


class _Lookup:
    """What is looked up for whom; then what was found, or an error."""

    __slots__ = ("born", "error", "found", "future", "loop", "record_ids", "tenant")

    def __init__(
        self, tenant: str, record_ids: Sequence[str], loop: asyncio.AbstractEventLoop, future: Settled
    ) -> None:
        self.tenant = tenant
        self.record_ids = record_ids
        self.loop = loop
        self.future = future
        #: When it was asked for, by the steady clock.
        self.born = time.monotonic()
        self.found: Found = {}
        self.error: Exception | None = None


class GroupLookups:
    """Looks records up without their payloads, for as many callers at a time as have asked.

    A call costs a thread's turn and a connection, which is several times what a record costs; and several
    threads are in each other's way. So one does it all, unless it takes its time: then another helps.

    ``submit`` and ``submit_soon`` belong to event loops, of any thread.
    """

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        most_threads: int,
        read: Callable[[Callable[[sa.Connection], None]], None],
        statements: Statements,
    ) -> None:
        """Prepare.

        Args:
            threads: that look up.
            most_threads: of these that look up at once.
            read: calls something with a connection; raises StoreUnavailableError.
            statements: of the database.
        """
        self._threads = threads
        self._most_threads = most_threads
        self._read = read
        self._statements = statements
        # Guards the rest.
        self._lock = threading.Lock()
        self._queue: deque[_Lookup] = deque()
        #: The loop that is about to have looked up what waits.
        self._gathering: asyncio.AbstractEventLoop | None = None
        #: Threads that look up, or are about to.
        self._at_work = 0
        self._is_watched = False

    def submit(self, tenant: str, record_ids: Sequence[str]) -> asyncio.Future[Found]:
        """Look up those of a tenant's records with these ids that there are, by id."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()
        self._queue_up(_Lookup(tenant, record_ids, loop, future))
        return future

    def submit_soon(self, tenant: str, record_ids: Sequence[str]) -> Later:
        """The same for one who waits without a task."""
        loop = asyncio.get_running_loop()
        later = Later(loop)
        self._queue_up(_Lookup(tenant, record_ids, loop, later))
        return later

    def _queue_up(self, lookup: _Lookup) -> None:
        with self._lock:
            self._queue.append(lookup)
            other, loop = self._gathering, lookup.loop
            if other is None:
                self._gathering = loop
                when_gathered(loop, self._queue.__len__, partial(self._gathered, loop))
        if other is not None and other is not loop:
            self._begin()  # the other loop may have ended since

    def _gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with what waits, unless a thread is at work, which comes to it."""
        with self._lock:
            self._gathering = None
            if self._at_work:
                self._watch(loop)
                return
        self._begin()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_watched:
            self._is_watched = True
            loop.call_later(_PATIENCE, self._look_after, loop)

    def _look_after(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let another thread help, if nobody has come to what waits for a while."""
        with self._lock:
            self._is_watched = False
            if not self._queue:
                return
            if self._at_work:
                self._watch(loop)
            is_late = time.monotonic() - self._queue[0].born >= _PATIENCE
            can_help = self._at_work < self._most_threads
        if is_late and can_help:
            self._begin()

    def _begin(self) -> None:
        with self._lock:
            self._at_work += 1
        try:
            self._threads.submit(self._look_up)
        except RuntimeError:  # they have ended
            while batch := self._take():
                _conclude(batch, StoreUnavailableError("closed"))

    def _take(self) -> list[_Lookup]:
        """What is looked up next; nothing, and the thread is no more at work."""
        with self._lock:
            batch: list[_Lookup] = []
            records = 0
            while self._queue and len(batch) < ENOUGH and records < _ENOUGH_RECORDS:
                lookup = self._queue.popleft()
                batch.append(lookup)
                records += len(lookup.record_ids)
            if not batch:
                self._at_work -= 1
            return batch

    # -- in a reader's thread --------------------------------------------------------------------

    def _look_up(self) -> None:
        while batch := self._take():
            error = None
            try:
                self._read(partial(self._find, batch))
            except Exception as failure:
                # Whatever it is, the callers must hear of it.
                error = failure
            _conclude(batch, error)

    def _find(self, batch: Sequence[_Lookup], connection: sa.Connection) -> None:
        tenant_of = attrgetter("tenant")
        for tenant, lookups in groupby(sorted(batch, key=tenant_of), tenant_of):
            of_tenant = list(lookups)
            wanted = {record_id: None for lookup in of_tenant for record_id in lookup.record_ids}
            found = self._found(connection, tenant, list(wanted))
            for lookup in of_tenant:
                lookup.found = {name: found[name] for name in lookup.record_ids if name in found}

    def _found(self, connection: sa.Connection, tenant: str, record_ids: Sequence[str]) -> Found:
        found: dict[str, Record | RecordCorruptError] = {}
        wanted = [stored for stored in map(stored_id_or_none, record_ids) if stored is not None]
        for first in range(0, len(wanted), LOOKED_UP_AT_ONCE):
            some = wanted[first : first + LOOKED_UP_AT_ONCE]
            statement = self._statements.get_some(len(some), with_payload=False)
            for row in connection.exec_driver_sql(statement, (tenant, *some)).all():
                one = found_in(row)
                found[id_of(one)] = one
        return found


def _conclude(batch: Sequence[_Lookup], error: Exception | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Lookup]] = {}
    for lookup in batch:
        lookup.error = _alike(error)
        by_loop.setdefault(lookup.loop, []).append(lookup)
    for loop, share in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, share)


def _alike(error: Exception | None) -> Exception | None:
    """Each caller's own: an error that is raised holds those whom it passes."""
    return error.again() if isinstance(error, StoreUnavailableError) else error


def _resolve(batch: Sequence[_Lookup]) -> None:
    for lookup in batch:
        future: Any = lookup.future
        if future.done():  # cancelled
            continue
        if lookup.error is None:
            future.set_result(lookup.found)
        else:
            future.set_exception(lookup.error)
