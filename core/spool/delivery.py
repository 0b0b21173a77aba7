"""Sending spooled writes of one tenant to the store, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from core.dnastore.wire import Put, PutOnce, Revoke, Write
from core.errors import (
    DomainError,
    IdempotencyKeyReusedError,
    RecordCorruptError,
    RecordUnverifiableError,
    StoreUnavailableError,
)
from core.records import Entry, Record
from core.spool.rows import DamagedWriteError, SpooledRow
from core.store.interface import Store

_log = structlog.get_logger(__name__)

#: Records, and bytes, of one call. Less than a client may send at once, so that a batch takes several.
_MOST_RECORDS: Final = 500
_MOST_BYTES: Final = 1 << 20


class Rejection(NamedTuple):
    """A write that the store will never take, and why, in a word."""

    sequence: int
    reason: str


class Delivered:
    """What has become of some writes.

    Attributes:
        done: sequences of those that the store has.
        rejected: those that it will never take.
        without_key: sequences of those whose idempotency key it had given to an earlier record.
        failure: what kept the rest from being sent.
    """

    def __init__(self) -> None:
        self.done: list[int] = []
        self.rejected: list[Rejection] = []
        self.without_key: set[int] = set()
        self.failure: Exception | None = None


async def deliver(store: Store, rows: Sequence[SpooledRow]) -> Delivered:
    """Send writes of one tenant, one run after the other, until one finds the store away."""
    delivered = Delivered()
    run = _Run()
    try:
        for row in rows:
            try:
                write = row.write()
            except DamagedWriteError as error:
                _log.error(
                    "damaged write in spool set aside",
                    sequence=row.sequence,
                    record_id=row.record_id,
                    cause=str(error),
                )
                delivered.rejected.append(Rejection(row.sequence, "damaged"))
                continue
            if not run.takes(row, write):
                await _send_run(store, run, delivered)
                run = _Run()
                run.takes(row, write)
        await _send_run(store, run, delivered)
    except Exception as error:
        # The store is away, or there is a defect. What was sent until now counts all the same.
        delivered.failure = error
    return delivered


class _Run:
    """Writes that follow one another and may go at once, because none of them builds on another."""

    def __init__(self) -> None:
        self.writes: list[tuple[SpooledRow, Write]] = []
        self._records = 0
        self._size = 0
        self._keys: set[bytes] = set()

    def takes(self, row: SpooledRow, write: Write) -> bool:
        """Have one more, if it fits in."""
        records = len(write.records) if isinstance(write, Put) else 1
        if self.writes:
            first = self.writes[0][1]
            if isinstance(write, Revoke) or type(write) is not type(first):
                return False
            if isinstance(write, PutOnce) and write.claim.key_digest in self._keys:
                return False
            if self._records + records > _MOST_RECORDS or self._size + row.size > _MOST_BYTES:
                return False
        if isinstance(write, PutOnce):
            self._keys.add(write.claim.key_digest)
        self.writes.append((row, write))
        self._records += records
        self._size += row.size
        return True


async def _send_run(store: Store, run: _Run, delivered: Delivered) -> None:
    puts = [(row, write) for row, write in run.writes if isinstance(write, Put)]
    if puts:
        await _send_puts(store, puts, delivered)
        return
    # The client sends in one request what is asked for at once.
    outcomes = await asyncio.gather(
        *(_send(store, row, write, delivered) for row, write in run.writes), return_exceptions=True
    )
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


async def _send_puts(store: Store, puts: Sequence[tuple[SpooledRow, Put]], delivered: Delivered) -> None:
    """Several in one call, which is many times quicker; each by itself if they are refused together."""
    if len(puts) > 1:
        records: dict[str, Record] = {}
        entries: dict[tuple[str, int], Entry] = {}
        for _, put in puts:
            for wire in put.records:
                records.setdefault(wire.id, wire.record())
            for entry in put.entries:
                entries.setdefault((entry.chain, entry.number), entry)
        try:
            await store.put(list(records.values()), list(entries.values()))
        except StoreUnavailableError as error:
            if not is_final(error):
                raise
        except DomainError:
            pass
        else:
            delivered.done += [row.sequence for row, _ in puts]
            return
    for row, put in puts:
        await _send(store, row, put, delivered)


async def _send(store: Store, row: SpooledRow, write: Write, delivered: Delivered) -> None:
    try:
        if isinstance(write, Put):
            await store.put([one.record() for one in write.records], write.entries)
        elif isinstance(write, PutOnce):
            await _send_once(store, row, write, delivered)
        elif not await _revoke(store, write):
            delivered.rejected.append(_rejection(row, "not_found"))
            return
    except StoreUnavailableError as error:
        if not is_final(error):
            raise
        delivered.rejected.append(_rejection(row, error.reason))
    except DomainError as error:
        delivered.rejected.append(_rejection(row, error.code))
    else:
        delivered.done.append(row.sequence)


async def _send_once(store: Store, row: SpooledRow, write: PutOnce, delivered: Delivered) -> None:
    """Keep the record under its key; if an earlier one has that, without it: this one was promised."""
    record = write.record.record()
    try:
        kept = await store.put_once(record, write.claim)
        if kept.id == record.id:
            return
    except (IdempotencyKeyReusedError, RecordCorruptError, RecordUnverifiableError):
        pass  # the last two are about the earlier record
    _log.warning(
        "idempotency key was used before the outage; record kept without it",
        sequence=row.sequence,
        record_id=record.id,
    )
    await store.put([record])
    delivered.without_key.add(row.sequence)


async def _revoke(store: Store, write: Revoke) -> bool:
    kept = await store.revoke(
        write.tenant, write.id, reason=write.reason, revoked_by=write.revoked_by, now_ms=write.now_ms
    )
    return kept is not None


def is_final(error: StoreUnavailableError) -> bool:
    """Whether the store is there, and says that this caller may not do this."""
    return error.reason == "forbidden"


def _rejection(row: SpooledRow, reason: str) -> Rejection:
    _log.error(
        "spooled write rejected",
        sequence=row.sequence,
        record_id=row.record_id,
        tenant=row.tenant,
        reason=reason,
    )
    return Rejection(row.sequence, reason)
