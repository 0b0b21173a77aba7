"""The lane that all of a process's writes to histories go through, one batch behind the other."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Final

from core.errors import (
    DuplicateRecordError,
    InvalidRecordError,
    StoreOverloadedError,
    StoreUnavailableError,
)
from core.history.heads import MOST_TENANTS, Heads, Wanted
from core.records import Record
from core.seals import Seals
from core.store.interface import Store
from sigil_native import SigilError
from sigil_native.errors import CanonicalizationError

#: Bounds of a batch; a longer write is a batch of its own.
_MOST_RECORDS: Final = 500
_MOST_BYTES: Final = 4 << 20
#: Bounds of what waits.
_MOST_WAITING: Final = 10_000
_MOST_WAITING_BYTES: Final = 64 << 20
#: What a waiting record holds beside its payload, about.
_RECORD_OVERHEAD: Final = 1024


class _Write:
    __slots__ = ("context", "future", "records", "size", "tenants", "wanted")

    def __init__(
        self, records: Sequence[Record], wanted: Sequence[Wanted], future: asyncio.Future[None]
    ) -> None:
        self.records = records
        self.wanted = wanted
        self.future = future
        self.context = contextvars.copy_context()
        self.tenants = list(dict.fromkeys(one.tenant for one in wanted))
        self.size = sum(len(record.payload or b"") + _RECORD_OVERHEAD for record in records)


class Lane:
    """Links whatever waits in its order, and has the store keep it with its records in one step.

    Tenants are kept apart, so that what befalls one's writes is not the others' affair; a write for several
    tenants has a batch of its own. An entry must follow one that is kept, so while a batch is under way the
    next one gathers. One lane serves one event loop.
    """

    def __init__(self, store: Store, seals: Seals, *, most_tenants: int = MOST_TENANTS) -> None:
        self._store = store
        self._heads = Heads(seals, most_tenants=most_tenants)
        self._waiting: deque[_Write] = deque()
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def keep(self, records: Sequence[Record], wanted: Sequence[Wanted]) -> None:
        """Keep records and entries, all or none; durable when this returns.

        A caller that gives up before its turn takes its records back. Entries without records are of what
        has happened already, and are kept all the same.

        Raises:
            DuplicateRecordError, InvalidRecordError: as of ``Store.put``.
            StoreUnavailableError: nobody knows whether they are kept.
            SigilError: no key may sign now.
        """
        if self._closed:
            raise StoreUnavailableError("closed")
        too_many = len(self._waiting) >= _MOST_WAITING or self._waiting_bytes >= _MOST_WAITING_BYTES
        if records and too_many:
            raise StoreOverloadedError
        write = _Write(records, wanted, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        self._waiting_bytes += write.size
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await write.future

    async def close(self) -> None:
        """Finish what waits, then refuse everything. May be called again."""
        self._closed = True
        # After a stop in disorder its loop is gone, and nobody waits for it any more.
        if self._task is not None and self._task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        batch: Sequence[_Write] = ()
        try:
            while batch := self._take():
                by_tenant: dict[str, list[_Write]] = {}
                for write in batch:
                    by_tenant.setdefault(write.tenants[0], []).append(write)
                # Each on behalf of its first writer, not of whoever made the lane's task.
                kept = [
                    asyncio.create_task(self._keep(some), context=some[0].context)
                    for some in by_tenant.values()
                ]
                await asyncio.gather(*kept)
        except BaseException:
            for write in (*batch, *self._waiting):
                _fail(write, StoreUnavailableError("closed"))
            self._waiting.clear()
            self._waiting_bytes = 0
            raise

    def _take(self) -> Sequence[_Write]:
        batch: list[_Write] = []
        records = size = 0
        while self._waiting:
            write = self._waiting[0]
            is_full = records + len(write.wanted) > _MOST_RECORDS or size + write.size > _MOST_BYTES
            if batch and (is_full or len(write.tenants) > 1):
                break
            self._waiting.popleft()
            self._waiting_bytes -= write.size
            if write.records and write.future.cancelled():
                continue
            batch.append(write)
            if len(write.tenants) > 1:
                break
            records += len(write.wanted)
            size += write.size
        return batch

    async def _keep(self, batch: Sequence[_Write]) -> None:
        try:
            linked = await self._heads.link(chain.from_iterable(write.wanted for write in batch))
        except SigilError as error:
            await self._apart(batch, _refusal(error))
            return
        try:
            await self._store.put([record for write in batch for record in write.records], linked.entries)
        except (DuplicateRecordError, InvalidRecordError) as error:
            if len(batch) == 1:
                # It may be the entry's place that is taken: another chain has others.
                self._heads.give_up(linked)
            await self._apart(batch, error)
        except BaseException as error:
            self._heads.give_up(linked)
            if not isinstance(error, Exception):
                raise
            for write in batch:
                _fail(write, error)
        else:
            self._heads.acknowledge(linked)
            for write in batch:
                if not write.future.done():
                    write.future.set_result(None)

    async def _apart(self, batch: Sequence[_Write], error: Exception) -> None:
        """The batch is refused because of one write: the others are tried without it."""
        if len(batch) == 1:
            _fail(batch[0], error)
            return
        middle = len(batch) // 2
        await self._keep(batch[:middle])
        await self._keep(batch[middle:])


def _fail(write: _Write, error: Exception) -> None:
    if not write.future.done():
        write.future.set_exception(error)


def _refusal(error: SigilError) -> Exception:
    if isinstance(error, CanonicalizationError):
        return InvalidRecordError("what was done cannot be written down")
    return error
