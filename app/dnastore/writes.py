"""Writes: what one request asks for, done together, and each with its own outcome."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
import structlog

from app.dnastore.body_room import BodyRoom
from app.dnastore.checks import is_sound, tenants_of
from app.dnastore.observation import ServerObserver
from app.dnastore.requests import read_request
from app.http.bodies import JSON, BodyReader
from app.http.completion import Completion
from app.http.context import Context
from app.http.problems import ProblemError
from app.http.replies import Reply, json_reply
from core.dnastore.allow_list import Grant
from core.dnastore.wire import (
    MOST_RECORDS,
    MOST_WRITES,
    Outcome,
    Put,
    PutOnce,
    WireRecord,
    Write,
    WriteReply,
    WriteRequest,
    WriteResult,
)
from core.errors import (
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    InvalidRecordError,
    RecordCorruptError,
    StoreOverloadedError,
    StoreUnavailableError,
)
from core.records import Record
from core.store.interface import Store
from core.time_slices import TimeSlices

_log = structlog.get_logger("app.dnastore")

#: The first that fits counts.
_OUTCOMES: Final[tuple[tuple[type[Exception], Outcome], ...]] = (
    (DuplicateRecordError, "duplicate"),
    (InvalidRecordError, "invalid"),
    (IdempotencyKeyReusedError, "key_reused"),
    (StoreOverloadedError, "overloaded"),
    (StoreUnavailableError, "unavailable"),
)

_decoder = msgspec.json.Decoder(WriteRequest)


class WriteRoute:
    """``POST /v1/writes``."""

    def __init__(self, store: Store, bodies: BodyReader, room: BodyRoom, observer: ServerObserver) -> None:
        self._store = store
        self._bodies = bodies
        self._room = room
        self._observer = observer
        #: What has begun is finished, though its client may have gone away.
        self._completion = Completion()

    async def write(self, context: Context, grant: Grant) -> Reply:
        """Do what can be done; say of each write what became of it."""
        with self._room.for_body_of(context):
            request = read_request(await self._bodies.text(context, JSON), _decoder)
            _check_size(request)
            results = await self._completion.of(self._apply_all(request, grant))
        return json_reply(200, WriteReply(results))

    async def close(self) -> None:
        """Finish what has begun, though nobody waits for it."""
        await self._completion.close()

    async def _apply_all(self, request: WriteRequest, grant: Grant) -> list[WriteResult]:
        slices = TimeSlices()
        refused: list[WriteResult | None] = []
        for write in request.writes:
            refused.append(_refusal(write, grant))
            await slices.pause()
        # At once, so that the store takes them in one transaction, in this order.
        works = [
            self._apply(write)
            for write, refusal in zip(request.writes, refused, strict=True)
            if refusal is None
        ]
        done = iter(await asyncio.gather(*works))
        results = [next(done) if refusal is None else refusal for refusal in refused]
        for write, result in zip(request.writes, results, strict=True):
            records = _records_in(write) if result.outcome == "done" else 0
            self._observer.wrote(result.outcome, records)
            if result.outcome == "done":
                self._observer.store_works()
        return results

    async def _apply(self, write: Write) -> WriteResult:
        try:
            return await self._applied(write)
        except RecordCorruptError as error:
            _log.error("stored record damaged", id=error.record_id, cause=error.cause)
            return WriteResult("damaged", damaged=error.record_id)
        except Exception as error:
            for kind, outcome in _OUTCOMES:
                if isinstance(error, kind):
                    if isinstance(error, StoreUnavailableError):
                        self._observer.store_failed(error)
                    return WriteResult(outcome)
            # A defect. The others must not suffer, and nobody knows whether it was done.
            _log.exception("write failed", kind=type(write).__name__)
            return WriteResult("unavailable")

    async def _applied(self, write: Write) -> WriteResult:
        store = self._store
        if isinstance(write, Put):
            await store.put([record.record() for record in write.records], write.entries)
            return WriteResult("done")
        if isinstance(write, PutOnce):
            return _done(await store.put_once(write.record.record(), write.claim))
        record = await store.revoke(
            write.tenant, write.id, reason=write.reason, revoked_by=write.revoked_by, now_ms=write.now_ms
        )
        return WriteResult("not_found") if record is None else _done(record)


def _done(record: Record) -> WriteResult:
    """A write that was done, with the record as it stands, without its payload."""
    return WriteResult("done", WireRecord.of(msgspec.structs.replace(record, payload=None)))


def _refusal(write: Write, grant: Grant) -> WriteResult | None:
    if not all(tenant in grant for tenant in tenants_of(write)):
        return WriteResult("forbidden")
    return None if is_sound(write) else WriteResult("invalid")


def _records_in(write: Write) -> int:
    if isinstance(write, Put):
        return len(write.records)
    return 1 if isinstance(write, PutOnce) else 0


def _check_size(request: WriteRequest) -> None:
    records = sum(_records_in(write) for write in request.writes)
    if len(request.writes) > MOST_WRITES or records > MOST_RECORDS:
        detail = f"a request may have {MOST_WRITES} writes of {MOST_RECORDS} records together"
        raise ProblemError("invalid_request", detail, pointer="/writes")
