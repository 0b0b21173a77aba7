"""A store that is away when a test says so, before or after what it is asked takes effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from core.errors import StoreUnavailableError
from core.idempotency import Claim, KeyLimits
from core.records import Damage, Entry, Listing, Place, Record, Status, id_of
from core.spool.bounds import Bounds
from core.spool.forwarder import Pace
from core.spool.spool import Spool, wall_clock
from core.spool.spooled_store import SpooledStore
from core.store.interface import Store
from core.store.observation import Forwarded, NoStoreObserver
from core.store.sql_store import SqlStore

_T = TypeVar("_T")

#: ``lost``: what is asked is done, and the answer is lost.
Mode = Literal["up", "down", "lost"]
#: So quick that a test need not wait.
QUICK = Pace(first_pause=0.01, longest_pause=0.05, look=0.02)
LARGE = Bounds(1 << 30, 604_800_000)


class Switch:
    """A store behind a switch. It outlives whoever closes it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.mode: Mode = "up"
        self.reason = "connection"
        #: The writes that had an effect, in their order: a word, a tenant, an id.
        self.effects: list[tuple[str, str, str]] = []

    async def _ask(self, work: Callable[[], Awaitable[_T]]) -> _T:
        if self.mode == "down":
            raise StoreUnavailableError(self.reason)
        answer = await work()
        if self.mode == "lost":
            raise StoreUnavailableError("timeout")
        return answer

    def start(self) -> None:
        """See Store.start."""
        self.store.start()

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""

        async def work() -> None:
            await self.store.put(records, entries)
            self.effects += [("put", record.tenant, record.id) for record in records]

        await self._ask(work)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""

        async def work() -> Record:
            kept = await self.store.put_once(record, claim)
            if kept.id == record.id:
                self.effects.append(("put", record.tenant, record.id))
            return kept

        return await self._ask(work)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        return await self._ask(lambda: self.store.get(tenant, record_id, with_payload=with_payload))

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | Damage]:
        """See Store.get_many."""
        return await self._ask(lambda: self.store.get_many(tenant, record_ids, with_payload=with_payload))

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
        return await self._ask(
            lambda: self.store.list(
                tenant, limit=limit, before=before, status=status, now_ms=now_ms, with_payload=with_payload
            )
        )

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""

        async def work() -> Record | None:
            found = await self.store.revoke(
                tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms
            )
            self.effects.append(("revoke" if found else "nothing", tenant, record_id))
            return found

        return await self._ask(work)

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries."""
        return await self._ask(lambda: self.store.entries(tenant, after=after, limit=limit))

    async def count(self) -> Mapping[str, int]:
        """See Store.count."""
        return await self._ask(self.store.count)

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge."""
        return await self._ask(lambda: self.store.purge(tenant, before=before, limit=limit))

    async def probe(self) -> None:
        """See Store.probe."""
        await self._ask(self.store.probe)

    async def close(self) -> None:
        """Stay open: the next one that is made over it needs it."""


class Watcher(NoStoreObserver):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[Forwarded] = []
        self.spools: list[tuple[int, int, float]] = []

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """See StoreObserver."""
        self.spools.append((writes, size, oldest_seconds))

    def forwarded(self, outcome: Forwarded) -> None:
        """See StoreObserver."""
        self.outcomes.append(outcome)


def sql_store(folder: Path, *, key_seconds: int = 86_400) -> SqlStore:
    """The store that may be away."""
    return SqlStore.open(f"sqlite:///{folder / 'remote.db'}", key_limits=KeyLimits(seconds=key_seconds))


def spooled(
    switch: Store,
    folder: Path,
    *,
    watcher: Watcher | None = None,
    bounds: Bounds = LARGE,
    clock: Callable[[], int] = wall_clock,
    on_change: Callable[[str | None], object] = lambda _: None,
) -> SpooledStore:
    """What a worker has, over the spool in a folder; its forwarder is not started."""
    spool = Spool.open(folder / "spool.db", bounds=bounds, clock=clock)
    store = SpooledStore(switch, spool, watcher or Watcher(), pace=QUICK)
    store.on_change = on_change
    return store


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds, for so long."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.005)


async def until_empty(store: SpooledStore, seconds: float = 30) -> None:
    """Wait until everything is forwarded, and told of; for so long."""
    await until(lambda: store.condition == "empty" and not store._forwarder.is_forwarding, seconds)


def listed(one: Record, **changes: object) -> Record:
    """A record as listings have it."""
    return msgspec.structs.replace(one, payload=None, **changes)


async def ids(store: SpooledStore, **more: object) -> list[str]:
    """What a listing shows."""
    asked = {"limit": 100, "before": None, "status": None, "now_ms": 0} | more
    return [id_of(one) for one in (await store.list("acme", **asked)).records]  # type: ignore[arg-type]
