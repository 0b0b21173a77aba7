"""Listings of records of which some wait in a spool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from core.errors import StoreOverloadedError, StoreUnavailableError
from core.records import Damage, Listing, Record, Status, id_of
from core.spool.known import Known, as_shown, revoked, shown
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
    return kept if known is None else _laid_over(known, kept)


def _laid_over(known: Known, kept: Record | Damage | None) -> Record | Damage:
    if kept is None:
        return known.record
    return kept if isinstance(kept, Exception) else revoked(kept, known.revocation)


async def merged_list(spool: Spool, store: Store, question: Question) -> Listing:
    """What the store has and what waits, newest first; while the store is away what waits, marked stale."""
    try:
        return await _both(spool, store, question)
    except StoreOverloadedError:
        raise
    except StoreUnavailableError:
        tenant, limit, before, status, now_ms, with_payload = question
        piece = await spool.piece(tenant, limit=limit, before=before, status=status, now_ms=now_ms)
        known = [as_shown(one.record, with_payload=with_payload, stale=True) for one in piece.known.values()]
        return Listing(known, stale=True)


async def _both(spool: Spool, store: Store, question: Question) -> Listing:
    found: list[Record | Damage] = []
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
            ids[-1] for ids in (list(piece.known), list(map(id_of, listing.records))) if len(ids) >= limit
        ]
        # Above it nothing is missing: each of the two has told all that it has there.
        horizon = max(ends, default="")
        records: dict[str, Record | Damage] = {
            id_of(one): revoked(one, piece.revocations.get(one.id)) if isinstance(one, Record) else one
            for one in listing.records
            if id_of(one) >= horizon
        }
        waiting = {one: known for one, known in piece.known.items() if one >= horizon and one not in records}
        records |= await _waiting(store, question, waiting)
        for record_id in sorted(records, reverse=True):
            one = records[record_id]
            if not isinstance(one, Record):
                found.append(one)  # nobody can tell how it stands
            elif question.status in {None, one.status(question.now_ms)}:
                found.append(shown(one, with_payload=question.with_payload))
        if not horizon:
            break
        before = horizon
    return Listing(found[: question.limit], stale)


async def _waiting(
    store: Store, question: Question, waiting: Mapping[str, Known]
) -> dict[str, Record | Damage]:
    """Records that the store's list does not have: it may have them all the same, standing otherwise."""
    if not waiting:
        return {}
    kept = await store.get_many(question.tenant, list(waiting), with_payload=question.with_payload)
    return {one: _laid_over(known, kept.get(one)) for one, known in waiting.items()}
