"""The defects, each as a store over the service's own, so that nothing of them is in the product.

One in a hundred, or a little each time: what a look at the service does not show, and a soak must.
"""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from core.idempotency import Claim
from core.records import Entry, Record
from core.store.interface import Store
from core.store.passing import PassingStore

_LEAKED_BYTES: Final = 64 << 10
_CALLS_A_DESCRIPTOR: Final = 5
#: Seconds of delay that each second of the service's life adds.
_SLOWER: Final = 0.004
#: Of records put, the one that is lost.
_LOST_ONE_IN: Final = 50
_FOREIGN_ONE_IN: Final = 2
#: Of records whose owners are remembered, to read them for somebody else.
_REMEMBERED: Final = 100_000


class _EachCall(PassingStore, ABC):
    """Does something before each read and each write of a record."""

    @abstractmethod
    async def _before(self) -> None:
        """What is done."""

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        await self._before()
        await super().put(records, entries)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        await self._before()
        return await super().get(tenant, record_id, with_payload=with_payload)


class MemoryLeak(_EachCall):
    """Something is kept of every call."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._kept: list[bytearray] = []

    async def _before(self) -> None:
        # Written to, so that it takes room: untouched pages would take none.
        self._kept.append(bytearray(b"\x01") * _LEAKED_BYTES)


class DescriptorLeak(_EachCall):
    """Now and then a file stays open."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._calls = 0

    async def _before(self) -> None:
        self._calls += 1
        if self._calls % _CALLS_A_DESCRIPTOR == 0:
            os.open(os.devnull, os.O_RDONLY)


class SlowDegradation(_EachCall):
    """Reads and writes take longer and longer."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._began = time.monotonic()

    async def _before(self) -> None:
        await asyncio.sleep((time.monotonic() - self._began) * _SLOWER)


class LostRecord(PassingStore):
    """One record in so many is acknowledged, and not kept."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._put = 0

    def _loses(self) -> bool:
        self._put += 1
        return self._put % _LOST_ONE_IN == 0

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        kept = [record for record in records if not self._loses()]
        if kept or entries:
            await super().put(kept, entries)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return record if self._loses() else await super().put_once(record, claim)


class CrossTenantRead(PassingStore):
    """One read in so many of what another tenant has is answered with it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._owners: dict[str, str] = {}
        self._foreign = 0

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        await super().put(records, entries)
        if len(self._owners) < _REMEMBERED:
            self._owners.update((record.id, record.tenant) for record in records)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        owner = self._owners.get(record_id, tenant)
        if owner != tenant:
            self._foreign += 1
            if self._foreign % _FOREIGN_ONE_IN == 0:
                tenant = owner
        return await super().get(tenant, record_id, with_payload=with_payload)


DEFECTS: Final[Mapping[str, Callable[[Store], Store]]] = {
    "memory_leak": MemoryLeak,
    "descriptor_leak": DescriptorLeak,
    "slow_degradation": SlowDegradation,
    "lost_record": LostRecord,
    "cross_tenant_read": CrossTenantRead,
}
