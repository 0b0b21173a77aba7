"""Old records go after some days."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import structlog

from core.store.interface import Store
from core.tenants import is_tenant

_DAY_MS: Final = 86_400_000
#: Records that one call deletes.
_BATCH: Final = 500

_log = structlog.get_logger("core.store.retention")


def first_id_of(at_ms: int) -> str:
    """The least id that a sigil of this millisecond can have: a UUIDv7 without its random bits."""
    return str(UUID(int=max(at_ms, 0) << 80 | 7 << 76 | 2 << 62))


class Retention:
    """Purges a store of what was sealed more than so many days ago, tenant by tenant.

    Several processes may do so for one store: what one has deleted the others do not find. What fails
    is left to the next round.
    """

    def __init__(self, store: Store, days: int, *, every: float = 3600, pause: float = 0.1) -> None:
        """Prepare.

        Args:
            store: any.
            days: how old records may become, 1 or more.
            every: seconds between two rounds, about: processes that were started together drift apart.
            pause: seconds between two batches, in which others write.
        """
        self._store = store
        self._days = days
        self._every = every
        self._pause = pause

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Go round and round in the background, in the event loop that the store's calls come from."""
        running = asyncio.create_task(self._go_round())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def purge(self) -> int:
        """Go round once; how many records went."""
        before = first_id_of(time.time_ns() // 1_000_000 - self._days * _DAY_MS)
        try:
            tenants = sorted(filter(is_tenant, await self._store.count()))
        except Exception as error:
            self._failed(error)
            return 0
        return sum([await self._purge_tenant(tenant, before) for tenant in tenants])

    async def _purge_tenant(self, tenant: str, before: str) -> int:
        purged = 0
        try:
            while deleted := await self._store.purge(tenant, before=before, limit=_BATCH):
                purged += deleted
                await asyncio.sleep(self._pause)
        except Exception as error:
            self._failed(error)
        return purged

    async def _go_round(self) -> None:
        # Soon after the start, for processes that are started often.
        await asyncio.sleep(random.uniform(0, self._every / 60))  # noqa: S311 - not for secrets
        while True:
            if purged := await self.purge():
                _log.info("old records purged", records=purged, days=self._days)
            await asyncio.sleep(self._every * random.uniform(0.9, 1.1))  # noqa: S311 - likewise

    @staticmethod
    def _failed(error: Exception) -> None:
        # By its class alone, unless it is one of ours: a defect's message may hold anything.
        reason = getattr(error, "reason", type(error).__name__)
        _log.warning("old records not purged", reason=reason)
