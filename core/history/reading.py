"""All records, or entries, of a tenant: a piece at a time, and past what is damaged."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Final, TypeVar

from core.errors import RecordCorruptError, RecordUnverifiableError, StoreUnavailableError
from core.records import Damage, Entry, Place, Record, id_of
from core.store.interface import Store
from core.store.pieces import FIRST, next_size

_T = TypeVar("_T")

_ENTRIES: Final = 1000


async def record_pieces(store: Store, tenant: str) -> AsyncGenerator[Sequence[Record | Damage]]:
    """A tenant's records with their payloads, newest first; a damaged one's error in its place.

    Raises:
        StoreUnavailableError: the store cannot answer, or not in order.
    """
    before: str | None = None
    size = FIRST
    while True:
        piece = await store.list(tenant, limit=size, before=before, status=None, now_ms=0, with_payload=True)
        records = piece.records
        ids = list(map(id_of, records))
        descending = ids if before is None else [before, *ids]
        if len(ids) > size or any(later >= earlier for earlier, later in itertools.pairwise(descending)):
            raise StoreUnavailableError("invalid_answer")
        if records:
            yield records
        if len(records) < size:
            return
        before = ids[-1]
        size = next_size(size, records)


async def entry_pieces(store: Store, tenant: str) -> AsyncGenerator[Sequence[Entry | Damage]]:
    """A tenant's entries by chain and number; of one that is damaged its error, in its place.

    Raises:
        StoreUnavailableError: the store cannot answer, or not in order.
    """
    after: Place | None = None
    skipped = False
    size = _ENTRIES
    while True:
        try:
            entries = await store.entries(tenant, after=after, limit=size)
        except (RecordCorruptError, RecordUnverifiableError) as error:
            if size > 1:
                size //= 2
                continue
            past = error.past if isinstance(error, RecordCorruptError) else None
            if past is not None and (after is None or past > after):
                yield [error]
                after, skipped = past, False
                continue
            if not skipped:
                yield [error]
            if skipped or after is None:
                return  # Nobody knows where it is, and so what is behind it.
            after, skipped = Place(after.chain, after.number + 1), True
            continue
        places = [Place(entry.chain, entry.number) for entry in entries]
        ascending = places if after is None else [after, *places]
        if len(entries) > size or any(later <= earlier for earlier, later in itertools.pairwise(ascending)):
            raise StoreUnavailableError("invalid_answer")
        if entries:
            yield entries
        if len(entries) < size:
            return
        after, skipped = places[-1], False
        size = min(_ENTRIES, 4 * size)


async def read_ahead(pieces: AsyncGenerator[_T]) -> AsyncIterator[_T]:
    """The pieces, the next one on its way while one is looked at."""

    async def next_piece() -> _T | None:
        return await anext(pieces, None)

    async with contextlib.aclosing(pieces):
        task = asyncio.create_task(next_piece())
        try:
            while (piece := await task) is not None:
                task = asyncio.create_task(next_piece())
                yield piece
        finally:
            task.cancel()
            await asyncio.wait([task])
