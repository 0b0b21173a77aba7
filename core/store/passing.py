"""A store that hands every call to another: what stores over stores begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.errors import RecordCorruptError, RecordUnverifiableError
from core.idempotency import Claim
from core.records import Entry, Listing, Place, Record, Status
from core.store.interface import Store


class PassingStore:
    """The Store protocol over another store. Whoever adds something to a call overrides that call alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self) -> None:
        """See Store.start."""
        self._store.start()

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""
        await self._store.put(records, entries)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return await self._store.put_once(record, claim)

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        return await self._store.get(tenant, record_id, with_payload=with_payload)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | RecordCorruptError | RecordUnverifiableError]:
        """See Store.get_many."""
        return await self._store.get_many(tenant, record_ids, with_payload=with_payload)

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
        return await self._store.list(
            tenant, limit=limit, before=before, status=status, now_ms=now_ms, with_payload=with_payload
        )

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        return await self._store.revoke(
            tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms
        )

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries."""
        return await self._store.entries(tenant, after=after, limit=limit)

    async def count(self) -> Mapping[str, int]:
        """See Store.count."""
        return await self._store.count()

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge."""
        return await self._store.purge(tenant, before=before, limit=limit)

    async def probe(self) -> None:
        """See Store.probe."""
        await self._store.probe()

    async def close(self) -> None:
        """See Store.close."""
        await self._store.close()
