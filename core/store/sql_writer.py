"""Group commit: one thread writes whatever waits, in one transaction."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, Protocol, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from core.errors import DomainError, InvalidRecordError, StoreOverloadedError, StoreUnavailableError
from core.gathering import when_gathered
from core.later import Later, Sequel, Settled
from core.store.database import Database

_LONGEST_BATCH: Final = 1000
#: How often a batch is tried that failed for a reason that passes, and how long it waits for that at most, so
#: that two that were in each other's way are not so again.
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.05


class Write(Protocol):
    """A write that waits for its transaction."""

    #: Bytes that it holds while it waits.
    size: int

    def apply(self, connection: sa.Connection) -> object:
        """Run the statements; the result is handed on after the commit."""

    @classmethod
    def apply_all(cls, connection: sa.Connection, writes: Sequence[Self]) -> Sequence[object]:
        """Apply several of a kind, in their order; their results."""
        return [write.apply(connection) for write in writes]

    @classmethod
    def apply_at_once(cls, connection: sa.Connection, writes: Sequence[Self]) -> bool:
        """Apply several of a kind, and commit them, if there is a shorter way; False: nothing was done."""
        return False

    def apply_alone(self, connection: sa.Connection) -> object:
        """Apply it in a savepoint of its own, after a plain attempt of its group has failed.

        May raise a DomainError, which undoes this write alone.
        """
        return self.apply(connection)


class _Waiting:
    """A write and whoever waits for it; then what it came to: a result, or an error."""

    __slots__ = ("error", "future", "loop", "result", "sequel", "write")

    def __init__(
        self, write: Write, loop: asyncio.AbstractEventLoop, future: Settled, sequel: Sequel | None = None
    ) -> None:
        self.write = write
        self.loop = loop
        self.future = future
        self.sequel = sequel
        self.result: object = None
        self.error: BaseException | None = None


class GroupCommitWriter:
    """Applies writes in the order of their submission, as many at a time as are waiting.

    ``submit`` belongs to event loops, of any thread; everything else happens in the writer's own
    thread, which alone touches the writing connection. A caller's future is resolved after the
    commit of its transaction and never before. A caller that stops waiting takes nothing back.
    """

    def __init__(self, database: Database, *, max_waiting: int, max_waiting_bytes: int) -> None:
        """Prepare; nothing is opened yet."""
        self._database = database
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        # Guards everything below; the thread waits on it for work.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._queue: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._idle = False
        #: The loop that is about to wake the thread.
        self._waking: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._connection: sa.Connection | None = None
        #: Is told how many writes have become durable together, in the writer's thread.
        self.on_commit: Callable[[int], None] = lambda _: None
        self._thread = threading.Thread(target=self._run, name="sigil-store-writer", daemon=True)

    @property
    def waiting(self) -> int:
        """Writes that wait for their transaction."""
        return len(self._queue)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, write: Write) -> asyncio.Future[Any]:
        """Queue a write of the running loop.

        Raises:
            StoreOverloadedError: too many writes, or bytes, wait already.
            StoreUnavailableError: the writer is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue_up(_Waiting(write, loop, future))
        return future

    def submit_soon(self, write: Write, sequel: Sequel | None = None) -> Later:
        """The same for one who waits without a task, and perhaps for more than this write."""
        loop = asyncio.get_running_loop()
        later = Later(loop) if sequel is None else sequel.later
        self._queue_up(_Waiting(write, loop, later, sequel))
        return later

    def _queue_up(self, waiting: _Waiting) -> None:
        with self._lock:
            if self._closing:
                raise StoreUnavailableError("closed")
            if len(self._queue) >= self._max_waiting or self._waiting_bytes >= self._max_waiting_bytes:
                raise StoreOverloadedError
            self._queue.append(waiting)
            self._waiting_bytes += waiting.write.size
            if self._idle and self._waking is not waiting.loop:
                self._wake_soon(waiting.loop)

    def _wake_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the thread when the loop brings no more writes: a commit costs as much as many of them."""
        if self._waking is None:
            self._waking = loop
            when_gathered(loop, self._queue.__len__, self._wake)
        else:
            # Another loop, which may have ended since.
            self._changed.notify()

    def _wake(self) -> None:
        with self._changed:
            self._waking = None
            self._changed.notify()

    def close(self) -> None:
        """Write what waits, then end the thread. Blocks; may be called again."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    # -- in the writer's thread ----------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._take():
            try:
                self._database.check()
                self._commit(batch)
                self._database.check()
                self.on_commit(len(batch))
            except Exception as error:
                # Whatever it is, the callers must hear of it and the thread must go on.
                self._fail(batch, error)
            _deliver(batch)
        self._disconnect()

    def _take(self) -> list[_Waiting]:
        with self._changed:
            while not self._queue and not self._closing:
                self._idle = True
                self._changed.wait()
            self._idle = False
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), _LONGEST_BATCH))]
            self._waiting_bytes -= sum(waiting.write.size for waiting in batch)
        return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        """Commit a batch; again where the database says that this may help: every write may be made again."""
        for _ in range(_ATTEMPTS - 1):
            try:
                self._commit_once(batch)
            except DBAPIError as error:
                if not self._database.passes(error):
                    raise
                if error.connection_invalidated:
                    self._disconnect()
                time.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - not for secrets
                for waiting in batch:
                    waiting.error = None
            else:
                return
        self._commit_once(batch)

    def _commit_once(self, batch: Sequence[_Waiting]) -> None:
        connection = self._connected()
        writes = [waiting.write for waiting in batch]
        try:
            if not _apply_at_once(connection, writes):
                for waiting, result in zip(batch, self._apply(connection, writes), strict=True):
                    waiting.result = result
        except DBAPIError as error:
            if self._concerns_all(error):
                raise
        except StoreUnavailableError:
            raise
        except Exception:
            if len(batch) == 1:
                raise
        else:
            return
        self._commit_one_by_one(connection, batch)

    def _apply(self, connection: sa.Connection, writes: Sequence[Write]) -> list[object]:
        results: list[object] = []
        with connection.begin():
            for _, group in groupby(writes, type):
                alike = list(group)
                results += alike[0].apply_all(connection, alike)
        return results

    def _commit_one_by_one(self, connection: sa.Connection, batch: Sequence[_Waiting]) -> None:
        """The batch again, each write in a savepoint, so that a bad one fails alone."""
        with connection.begin():
            self._database.lock_doubtful(connection)
            for waiting in batch:
                try:
                    with connection.begin_nested():
                        waiting.result = waiting.write.apply_alone(connection)
                except Exception as error:
                    if isinstance(error, DBAPIError) and self._concerns_all(error):
                        raise
                    waiting.error = self._domain_error(error)

    def _concerns_all(self, error: DBAPIError) -> bool:
        return self._database.unavailable(error) is not None or self._database.passes(error)

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Nothing of the batch is kept, as far as anybody knows."""
        failure = self._domain_error(error)
        if isinstance(failure, StoreUnavailableError) and failure.reason != "locked":
            self._disconnect()
        for waiting in batch:
            waiting.error = self._domain_error(error)

    def _domain_error(self, error: Exception) -> DomainError:
        if isinstance(error, DomainError):
            return error
        if isinstance(error, DBAPIError):
            known = self._database.unavailable(error)
            return known or InvalidRecordError("the store cannot hold this record")
        # Anything else came from converting a value, for example an integer beyond 64 bits.
        return InvalidRecordError(f"the store cannot hold this record: {type(error).__name__}")

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._database.writing.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.invalidate()
            with suppress(Exception):
                connection.close()


def _apply_at_once(connection: sa.Connection, writes: Sequence[Write]) -> bool:
    kind = type(writes[0])
    return all(type(write) is kind for write in writes) and kind.apply_at_once(connection, writes)


def _deliver(batch: Sequence[_Waiting]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, share in by_loop.items():
        # What the callers of one loop want next is done in one place.
        if sequels := [
            waiting.sequel for waiting in share if waiting.error is None and waiting.sequel is not None
        ]:
            _begin(sequels)
        if len(sequels) < len(share):
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, share)


def _begin(sequels: Sequence[Sequel]) -> None:
    now = time.perf_counter()
    for sequel in sequels:
        sequel.later.followed_at = now
    sequels[0].begin_all(sequels)


def _resolve(batch: Sequence[_Waiting]) -> None:
    for waiting in batch:
        if waiting.future.done():  # cancelled
            continue
        if waiting.error is not None:
            waiting.future.set_exception(waiting.error)
        elif waiting.sequel is None:
            waiting.future.set_result(waiting.result)
