"""Streams of lines, made page by page as far as they are read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec
import structlog

from app.dnastore.checks import is_canonical
from core.dnastore.wire import Line, WireRecord
from core.errors import RecordCorruptError
from core.records import Damage, Place, Record, Status, id_of
from core.store.interface import Store

#: What one call to the store brings; payloads may be a thousand times as large as the rest.
_PAGE: Final = 500
_PAGE_WITH_PAYLOADS: Final = 32
_DIGEST_BYTES: Final = 32

_log = structlog.get_logger("app.dnastore")
_encode = msgspec.json.Encoder().encode_lines
_END: Final = _encode([Line(end=True)])

Lines = AsyncGenerator[bytes, None]


def _page(*, with_payload: bool) -> int:
    return _PAGE_WITH_PAYLOADS if with_payload else _PAGE


def shown(record: Record) -> WireRecord:
    """A record as it is sent.

    Raises:
        RecordCorruptError: its payload would break the answer, or it is not whole.
    """
    revocation = (record.revoked_at_ms is None, record.revoked_by is None, record.revoked_reason is None)
    if len(record.canonical_sha256) != _DIGEST_BYTES or len(set(revocation)) != 1:
        raise RecordCorruptError(record.id, "the digest has another length, or the revocation is half of one")
    if record.payload is not None and not is_canonical(record.payload):
        raise RecordCorruptError(record.id, "the payload is no canonical JSON")
    return WireRecord.of(record)


def _line(found: Record | Damage) -> Line:
    if isinstance(found, Record):
        try:
            return Line(record=shown(found))
        except RecordCorruptError as error:
            found = error
    _log.error("stored record damaged", id=found.record_id, cause=found.cause)
    return Line(damaged=found.record_id)


async def looked_up(store: Store, tenant: str, ids: Sequence[str], *, with_payload: bool) -> Lines:
    """A line for each of these records that there is, in the order of the ids."""
    page = _page(with_payload=with_payload)
    for first in range(0, len(ids), page):
        some = ids[first : first + page]
        found = await store.get_many(tenant, some, with_payload=with_payload)
        if found:
            yield _encode([_line(found[one]) for one in dict.fromkeys(some) if one in found])
    yield _END


async def listed(
    store: Store,
    tenant: str,
    *,
    limit: int | None,
    before: str | None,
    status: Status | None,
    now_ms: int,
    with_payload: bool,
) -> Lines:
    """Lines for at most ``limit`` records with ids below ``before``, newest first.

    A damaged record has a line of its own in its place, and stops no other.
    """
    page = _page(with_payload=with_payload)
    left = limit
    while left is None or left > 0:
        wanted = page if left is None else min(page, left)
        listing = await store.list(
            tenant, limit=wanted, before=before, status=status, now_ms=now_ms, with_payload=with_payload
        )
        records = listing.records
        if records:
            yield _encode([_line(record) for record in records])
            before = id_of(records[-1])
            left = None if left is None else left - len(records)
        if len(records) < wanted:
            break
    yield _END


async def entries_of(store: Store, tenant: str, *, after: Place | None, limit: int | None) -> Lines:
    """Lines for at most ``limit`` entries of a tenant's history behind a place."""
    left = limit
    while left is None or left > 0:
        wanted = _PAGE if left is None else min(_PAGE, left)
        entries = await store.entries(tenant, after=after, limit=wanted)
        if entries:
            yield _encode([Line(entry=entry) for entry in entries])
            after = Place(entries[-1].chain, entries[-1].number)
            left = None if left is None else left - len(entries)
        if len(entries) < wanted:
            break
    yield _END
