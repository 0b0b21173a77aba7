"""Listings of records of which some wait in a spool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from core.errors import RecordCorruptError, StoreOverloadedError, StoreUnavailableError
from core.records import Listing, Record, Status
from core.spool.known import Damage, Known, revoked, shown
from core.spool.spool import Spool
from core.store.interface import Store


class Question(NamedTuple):
    """What ``Store.list`` was asked."""

    tenant: str
    limit: int
    before: str | None
    status: Status | None
    now_ms: int
    with_payload: bool


def overlaid(known: Known | None, kept: Record | Damage | None) -> Record | Damage | None:
    """The record as it stands: the store's copy wins, but a revocation that waits is on it already."""
    if known is None:
        return kept
    if kept is None:
        return known.record
    return kept if isinstance(kept, Exception) else revoked(kept, known.revocation)


async def merged_list(spool: Spool, store: Store, question: Question) -> Listing:
    """What the store has and what waits, newest first; while the store is away what waits, marked stale.

    Raises:
        RecordCorruptError: one of them is no record.
    """
    try:
        return await _both(spool, store, question)
    except StoreOverloadedError:
        raise
    except StoreUnavailableError:
        tenant, limit, before, status, now_ms, with_payload = question
        piece = await spool.piece(tenant, limit=limit, before=before, status=status, now_ms=now_ms)
        known = [_readable(one.record) for one in piece.known.values()]
        return Listing([shown(one, with_payload=with_payload, stale=True) for one in known], stale=True)


async def _both(spool: Spool, store: Store, question: Question) -> Listing:
    found: list[Record] = []
    stale = False
    before = question.before
    while len(found) < question.limit:
        limit = question.limit - len(found)
        # The spool first: what is taken out of it meanwhile, the store has by then.
        piece = await spool.piece(
            question.tenant, limit=limit, before=before, status=question.status, now_ms=question.now_ms
        )
        listing = await store.list(
            question.tenant,
            limit=limit,
            before=before,
            status=question.status,
            now_ms=question.now_ms,
            with_payload=question.with_payload,
        )
        stale = stale or listing.stale
        ends = [
            ids[-1] for ids in (list(piece.known), [one.id for one in listing.records]) if len(ids) >= limit
        ]
        # Above it nothing is missing: each of the two has told all that it has there.
        horizon = max(ends, default="")
        records = {
            one.id: revoked(one, piece.revocations.get(one.id))
            for one in listing.records
            if one.id >= horizon
        }
        waiting = {one: known for one, known in piece.known.items() if one >= horizon and one not in records}
        records |= await _waiting(store, question, waiting)
        found += [
            shown(records[one], with_payload=question.with_payload)
            for one in sorted(records, reverse=True)
            if question.status in {None, records[one].status(question.now_ms)}
        ]
        if not horizon:
            break
        before = horizon
    return Listing(found[: question.limit], stale)


async def _waiting(store: Store, question: Question, waiting: Mapping[str, Known]) -> dict[str, Record]:
    """Records that the store's list does not have: it may have them all the same, standing otherwise."""
    if not waiting:
        return {}
    kept = await store.get_many(question.tenant, list(waiting), with_payload=question.with_payload)
    return {one: _readable(overlaid(known, kept.get(one))) for one, known in waiting.items()}


def _readable(record: Record | Damage | None) -> Record:
    if record is None or isinstance(record, Exception):
        raise record or RecordCorruptError("", "spool")
    return record
