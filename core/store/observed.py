"""A store whose calls are told of."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from core.errors import StoreUnavailableError
from core.idempotency import Claim
from core.later import Later, Sequel
from core.records import Damage, Entry, Listing, Record, Status
from core.store.interface import PromptStore, Store
from core.store.observation import StorageObserver
from core.store.passing import PassingStore

_T = TypeVar("_T")


class ObservedStore(PassingStore):
    """The Store protocol over another store: an observer is told how long calls take, and which fail."""

    def __init__(self, store: Store, observer: StorageObserver) -> None:
        super().__init__(store)
        self._observer = observer

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        await self._timed("put", self._observer.wrote, self._store.put(records, entries))

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return await self._timed("put_once", self._observer.wrote, self._store.put_once(record, claim))

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        call = self._store.get(tenant, record_id, with_payload=with_payload)
        return await self._timed("get", self._observer.read, call)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | Damage]:
        """See Store.get_many."""
        call = self._store.get_many(tenant, record_ids, with_payload=with_payload)
        return await self._timed("get_many", self._observer.read, call)

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
        call = self._store.list(
            tenant, limit=limit, before=before, status=status, now_ms=now_ms, with_payload=with_payload
        )
        return await self._timed("list", self._observer.read, call)

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        call = self._store.revoke(tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms)
        return await self._timed("revoke", self._observer.wrote, call)

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge."""
        call = self._store.purge(tenant, before=before, limit=limit)
        return await self._timed("purge", self._observer.wrote, call)

    async def probe(self) -> None:
        """See Store.probe."""
        await self._timed("probe", self._observer.wrote, self._store.probe())

    async def _timed(self, operation: str, tell: Callable[[str, float], None], call: Awaitable[_T]) -> _T:
        begun = time.perf_counter()
        try:
            result = await call
        except StoreUnavailableError as error:
            tell(operation, time.perf_counter() - begun)
            self._observer.failed(error.reason)
            raise
        tell(operation, time.perf_counter() - begun)
        self._observer.works()
        return result


class ObservedPromptStore(ObservedStore):
    """The same over a store that needs no task to wait in."""

    def __init__(self, store: Store, prompt: PromptStore, observer: StorageObserver) -> None:
        """Observe a store, which is also ``prompt``."""
        super().__init__(store, observer)
        self._put_soon = prompt.put_soon
        self._find_soon = prompt.find_soon

    def put_soon(self, records: Sequence[Record], sequel: Sequel | None = None) -> Later | None:
        """See PromptStore.put_soon."""
        begun = time.perf_counter()
        try:
            later = self._put_soon(records, sequel)
        except StoreUnavailableError as error:
            self._put(begun, None, error)
            raise
        if later is None:
            self._put(begun, None, None)
        else:
            later.add_done_callback(lambda done: self._put(begun, done.followed_at, done.exception()))
        return later

    def find_soon(self, tenant: str, record_ids: Sequence[str]) -> Later:
        """See PromptStore.find_soon. Counts as what a task would have called."""
        operation = "get" if len(record_ids) == 1 else "get_many"
        begun = time.perf_counter()
        later = self._find_soon(tenant, record_ids)
        later.add_done_callback(lambda done: self._found(operation, begun, done.exception()))
        return later

    def _found(self, operation: str, begun: float, error: BaseException | None) -> None:
        if error is None:
            self._observer.read(operation, time.perf_counter() - begun)
            self._observer.works()
        elif isinstance(error, StoreUnavailableError):
            self._observer.read(operation, time.perf_counter() - begun)
            self._observer.failed(error.reason)

    def _put(self, begun: float, followed_at: float | None, error: BaseException | None) -> None:
        """It has ended, when it was followed or else now. What has failed then is what followed."""
        if followed_at is not None or error is None:
            self._observer.wrote("put", (followed_at or time.perf_counter()) - begun)
            self._observer.works()
        elif isinstance(error, StoreUnavailableError):
            self._observer.wrote("put", time.perf_counter() - begun)
            self._observer.failed(error.reason)


def observed_store(store: Store, observer: StorageObserver) -> ObservedStore:
    """The store, with an observer."""
    if isinstance(store, PromptStore):
        return ObservedPromptStore(store, store, observer)
    return ObservedStore(store, observer)
