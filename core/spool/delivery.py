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
    """Send writes of one tenant, a wave behind the other, until one finds the store away."""
    delivered = Delivered()
    waves = _waves(rows, delivered)
    try:
        for wave in waves:
            await _send_wave(store, wave, delivered)
            if delivered.failure is not None:
                break
    except Exception as error:
        # A defect. What was sent until now counts all the same.
        delivered.failure = error
    return delivered


class _Wave:
    """Writes that are sent at once, so that whoever sends them can have them share a request."""

    def __init__(self) -> None:
        self.puts: list[tuple[SpooledRow, Put]] = []
        self.others: list[tuple[SpooledRow, PutOnce | Revoke]] = []
        self._ids_of_puts: set[str] = set()
        self._ids_of_others: set[str] = set()
        self._records = 0
        self._size = 0

    def takes(self, row: SpooledRow, write: Write) -> bool:
        """Whether it has room, and is about no record of the wave, which it must not overtake."""
        if not self._size:
            return True
        ids = _ids(write)
        if self._records + len(ids) > _MOST_RECORDS or self._size + row.size > _MOST_BYTES:
            return False
        # Puts stay in their order, in one call. An entry must not be there before the record it is about.
        return self._ids_of_others.isdisjoint(ids) and (
            isinstance(write, Put) or self._ids_of_puts.isdisjoint(ids)
        )

    def add(self, row: SpooledRow, write: Write) -> None:
        """Let it be sent, too."""
        ids = _ids(write)
        if isinstance(write, Put):
            self.puts.append((row, write))
            self._ids_of_puts.update(ids)
        else:
            self.others.append((row, write))
            self._ids_of_others.update(ids)
        self._records += len(ids)
        self._size += row.size


def _ids(write: Write) -> list[str]:
    """The records that a write is about."""
    if isinstance(write, Put):
        return [*(one.id for one in write.records), *(entry.record_id for entry in write.entries)]
    return [write.record.id if isinstance(write, PutOnce) else write.id]


def _waves(rows: Sequence[SpooledRow], delivered: Delivered) -> list[_Wave]:
    waves = [_Wave()]
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
        if not waves[-1].takes(row, write):
            waves.append(_Wave())
        waves[-1].add(row, write)
    return waves


async def _send_wave(store: Store, wave: _Wave, delivered: Delivered) -> None:
    """The puts in one call, beside the others; each outcome counts, whatever the others come to."""
    sending = [_send(store, row, write, delivered) for row, write in wave.others]
    outcomes = await asyncio.gather(_send_puts(store, wave.puts, delivered), *sending, return_exceptions=True)
    failures = [one for one in outcomes if isinstance(one, BaseException)]
    # A defect is told before an outage: that passes by itself.
    failures.sort(key=lambda one: isinstance(one, StoreUnavailableError))
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure
    delivered.failure = next((one for one in failures if isinstance(one, Exception)), None)


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
