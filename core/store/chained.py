"""A store that keeps a history of what is done to its records."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from core.history.heads import MOST_TENANTS, Wanted
from core.history.lane import Lane
from core.history.statements import NOTHING, revocation_of, sealing_of
from core.idempotency import Claim
from core.records import Entry, Record, Step
from core.seals import Seals
from core.store.interface import Store
from core.store.passing import PassingStore

#: Steps that are known to have their entries.
_MOST_KNOWN: Final = 20_000


class ChainedStore(PassingStore):
    """The Store protocol over another store, with an entry in its tenant's history for each step.

    Records that are put are kept together with their entries. An idempotency key or a revocation shows only
    afterwards what it came to, so its entry follows, and the caller is answered when that is kept, too. A
    crash in between leaves a record, or a revocation, without its entry; the caller, who was not answered,
    asks again, and then it gets one.
    """

    def __init__(self, store: Store, seals: Seals, *, most_tenants: int = MOST_TENANTS) -> None:
        super().__init__(store)
        self._lane = Lane(store, seals, most_tenants=most_tenants)
        self._known: OrderedDict[tuple[Step, str, str], None] = OrderedDict()

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put. Records that come with entries have been linked already.

        Raises:
            SigilError: no key may sign now.
        """
        if entries:
            await self._store.put(records, entries)
        elif records:
            wanted = [one for record in records for one in _steps(record)]
            await self._lane.keep(records, wanted)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once.

        Raises:
            SigilError: no key may sign now.
        """
        kept = await self._store.put_once(record, claim)
        # Its own, or by its looks: what somebody has changed since gets no entry that would vouch for it.
        if (kept.created_by, kept.canonical_sha256) == (record.created_by, record.canonical_sha256):
            await self._enter(Wanted(kept.tenant, "sealed", kept.id, sealing_of(kept)))
        return kept

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke.

        Raises:
            SigilError: no key may sign now.
        """
        record = await self._store.revoke(
            tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms
        )
        # Not somebody else's revocation: that has its entry, or nobody was told of it.
        if record is not None and (record.revoked_by, record.revoked_reason) == (revoked_by, reason):
            await self._enter(Wanted(tenant, "revoked", record_id, revocation_of(record)))
        return record

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge. The history says so first, then records go.

        Raises:
            SigilError: no key may sign now.
        """
        oldest = await self._store.list(tenant, limit=1, before=before, status=None, now_ms=0)
        if not oldest.records:
            return 0
        await self._enter(Wanted(tenant, "purged", before, NOTHING))
        return await self._store.purge(tenant, before=before, limit=limit)

    async def close(self) -> None:
        """See Store.close."""
        await self._lane.close()
        await self._store.close()

    async def _enter(self, wanted: Wanted) -> None:
        """Keep an entry of what has happened, unless this process has done so."""
        key = (wanted.step, wanted.tenant, wanted.record_id)
        if key in self._known:
            self._known.move_to_end(key)
            return
        await self._lane.keep((), [wanted])
        self._known[key] = None
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


def _steps(record: Record) -> Sequence[Wanted]:
    sealed = Wanted(record.tenant, "sealed", record.id, sealing_of(record))
    if record.revoked_at_ms is None:
        return [sealed]
    return [sealed, Wanted(record.tenant, "revoked", record.id, revocation_of(record))]
