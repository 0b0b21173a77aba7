"""A store over another that is not trusted: what comes back is checked before anybody sees it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from core.errors import RecordCorruptError, RecordUnverifiableError, StoreUnavailableError
from core.idempotency import Claim
from core.records import Damage, Entry, Listing, Place, Record, Status, id_of
from core.seals import Seals
from core.store.interface import Store
from core.store.passing import PassingStore
from core.store.pieces import FIRST, next_size
from core.time_slices import TimeSlices

#: Pieces of what was asked for that are in memory at the same time.
_PIECES: Final = 8


class VerifyingStore(PassingStore):
    """The Store protocol over another store that may answer anything.

    A record's seal covers its payload, tenant, id and times, so payloads are asked for even where nobody
    wants them. Revocations, and who asked for a record, are not under the seal: a history has these.
    """

    def __init__(self, store: Store, seals: Seals) -> None:
        super().__init__(store)
        self._seals = seals
        self._pieces = asyncio.Semaphore(_PIECES)

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once.

        Raises:
            RecordCorruptError, RecordUnverifiableError: the earlier record is damaged.
        """
        kept = await self._store.put_once(record, claim)
        if kept.id == record.id:
            return record
        if kept.canonical_sha256 != record.canonical_sha256:
            # A key's every use is of the same payload.
            raise RecordCorruptError(kept.id, "canonical_sha256")
        earlier = await self.get(record.tenant, kept.id, with_payload=False)
        if earlier is None or not _is_later(earlier, kept):
            raise StoreUnavailableError("invalid_answer")
        return earlier

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        record = await self._store.get(tenant, record_id, with_payload=True)
        if record is None:
            return None
        if record.id != record_id:
            raise RecordCorruptError(record_id, "id")
        return self._checked(tenant, record, with_payload=with_payload)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | Damage]:
        """See Store.get_many."""
        found: dict[str, Record | Damage] = {}
        wanted = list(dict.fromkeys(record_ids))
        slices, size, first = TimeSlices(), FIRST, 0
        while first < len(wanted):
            some = wanted[first : first + size]
            async with self._pieces:
                piece = await self._store.get_many(tenant, some, with_payload=True)
                for record_id in some:
                    record = piece.get(record_id)
                    if isinstance(record, Record):
                        found[record_id] = self._judged(tenant, record_id, record, with_payload=with_payload)
                        await slices.pause()
                    elif record is not None:
                        found[record_id] = record
                records = [record for record in piece.values() if isinstance(record, Record)]
            first += len(some)
            size = next_size(size, records)
        return found

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
        listed: list[Record | Damage] = []
        slices, size, stale = TimeSlices(), FIRST, False
        while len(listed) < limit:
            asked = min(size, limit - len(listed))
            async with self._pieces:
                piece = await self._store.list(
                    tenant, limit=asked, before=before, status=status, now_ms=now_ms, with_payload=True
                )
                _check_listing(piece, asked, before)
                for one in piece.records:
                    if isinstance(one, Record):
                        if status is not None and one.status(now_ms) != status:
                            raise StoreUnavailableError("invalid_answer")
                        listed.append(self._judged(tenant, one.id, one, with_payload=with_payload))
                        await slices.pause()
                    else:
                        listed.append(one)
                size = next_size(size, piece.records)
            stale = stale or piece.stale
            if len(piece.records) < asked:
                break
            before = id_of(listed[-1])
        return Listing(listed, stale)

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke.

        Raises:
            RecordCorruptError, RecordUnverifiableError: the record is damaged; it is marked all the same.
        """
        answer = await self._store.revoke(
            tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms
        )
        if answer is None:
            return None
        revoked = await self.get(tenant, record_id, with_payload=False)
        if revoked is None or revoked.revoked_at_ms is None or not _is_later(revoked, answer):
            raise StoreUnavailableError("invalid_answer")
        return revoked

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries. Their seals are for the check of the history, which has all that they cover."""
        entries = await self._store.entries(tenant, after=after, limit=limit)
        places = [Place(entry.chain, entry.number) for entry in entries]
        ascending = places if after is None else [after, *places]
        if (
            len(entries) > limit
            or any(entry.tenant != tenant for entry in entries)
            or any(later <= earlier for earlier, later in itertools.pairwise(ascending))
        ):
            raise StoreUnavailableError("invalid_answer")
        return entries

    def _checked(self, tenant: str, record: Record, *, with_payload: bool) -> Record:
        if record.tenant != tenant:
            raise RecordCorruptError(record.id, "tenant")
        self._seals.check(record)
        return record if with_payload else msgspec.structs.replace(record, payload=None)

    def _judged(self, tenant: str, record_id: str, record: Record, *, with_payload: bool) -> Record | Damage:
        if record.id != record_id:
            return RecordCorruptError(record_id, "id")
        try:
            return self._checked(tenant, record, with_payload=with_payload)
        except (RecordCorruptError, RecordUnverifiableError) as error:
            return error


def _is_later(later: Record, earlier: Record) -> bool:
    """Whether a record may be another, a moment later: all that can happen to it is one revocation."""
    if earlier.revoked_at_ms is None:
        later = msgspec.structs.replace(later, revoked_at_ms=None, revoked_by=None, revoked_reason=None)
    return _bare(later) == _bare(earlier)


def _bare(record: Record) -> Record:
    return msgspec.structs.replace(record, payload=None, stale=False)


def _check_listing(piece: Listing, limit: int, before: str | None) -> None:
    ids = list(map(id_of, piece.records))
    descending = ids if before is None else [before, *ids]
    if len(ids) > limit or any(later >= earlier for earlier, later in itertools.pairwise(descending)):
        raise StoreUnavailableError("invalid_answer")
