"""Writes over the wire: durable when answered, each with an outcome of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.dnastore.wire import MOST_RECORDS, MOST_WRITES, Put, PutOnce, Revoke, WireRecord, Write
from core.errors import (
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    InvalidRecordError,
    RecordCorruptError,
    StoreOverloadedError,
    StoreUnavailableError,
)
from core.idempotency import Claim
from core.records import Entry, Record
from tests.service.dnastore.in_process import Exchange, Inside, eventually
from tests.service.dnastore.running import DnaStore
from tests.service.store.store_records import record, record_id

CLAIM = Claim(b"k" * 32, b"r" * 32)
ENTRY = Entry("acme", "0" * 32, 1, "sealed", record_id(1), 1, "", "seal")


def put(*records: Record, entries: Sequence[Entry] = ()) -> Put:
    """A write of these."""
    return Put([WireRecord.of(one) for one in records], list(entries))


def revocation(number: int, tenant: str) -> Revoke:
    """A write that revokes a record."""
    return Revoke(tenant, record_id(number), "entered twice", "tester", 99)


def body_of(*writes: Write) -> bytes:
    """The request that asks for writes."""
    return msgspec.json.encode({"writes": writes})


def outcomes(body: bytes) -> list[str]:
    """The outcomes in an answer."""
    return [result["outcome"] for result in json.loads(body)["results"]]


def test_a_record_comes_back_as_it_went(dnastore: DnaStore, tenant: str) -> None:
    """What was put is read back to the last byte, with and without its payload."""
    kept = record(1, tenant=tenant, payload=b'{"amount":1299.5,"text":"\xc3\xa9\\n"}')
    dnastore.put(kept)
    answer = dnastore.call("GET", f"/v1/records/{record_id(1)}?tenant={tenant}&payload=true")
    assert answer.status == 200
    assert b'"payload":' + (kept.payload or b"") in answer.body
    (line,) = dnastore.lines("GET", f"/v1/records?tenant={tenant}&payload=true")
    assert line.record is not None
    assert line.record.record() == kept
    without = dnastore.call("GET", f"/v1/records/{record_id(1)}?tenant={tenant}")
    assert "payload" not in without.json


def test_outcomes_are_in_the_writes_order(dnastore: DnaStore, tenant: str) -> None:
    """Each write is done or fails alone; those that return a record return it without its payload."""
    original = record(1, tenant=tenant)
    claimed = record(2, tenant=tenant)
    other = msgspec.structs.replace(original, sigil="another")
    reply = dnastore.write(
        put(original),
        put(other),
        put(original),
        PutOnce(WireRecord.of(claimed), CLAIM),
        PutOnce(WireRecord.of(record(3, tenant=tenant)), CLAIM),
        PutOnce(WireRecord.of(record(4, tenant=tenant)), Claim(b"k" * 32, b"x" * 32)),
        revocation(1, tenant),
        revocation(9, tenant),
    )
    assert [result.outcome for result in reply.results] == [
        *("done", "duplicate", "done", "done", "done", "key_reused", "done", "not_found")
    ]
    first, again, revoked = (reply.results[number].record for number in (3, 4, 6))
    assert first == again == WireRecord.of(msgspec.structs.replace(claimed, payload=None))
    assert revoked is not None
    assert (revoked.revoked_reason, revoked.payload) == ("entered twice", msgspec.UNSET)


def broken(place: Sequence[str | int], value: object) -> dict[str, Any]:
    """A put with one member changed."""
    write: Any = json.loads(msgspec.json.encode(put(record(1), entries=[ENTRY])))
    inner = write
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return {"writes": [write, json.loads(msgspec.json.encode(put(record(2))))]}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("records", 0, "tenant"), ""),
        (("records", 0, "tenant"), "x" * 129),
        (("records", 0, "tenant"), "a\0b"),
        (("records", 0, "id"), record_id(1).upper().replace("0", "A")),
        (("records", 0, "id"), "00000000-0000-4000-8000-000000000001"),
        (("records", 0, "id"), record_id(1) + "\n"),
        (("records", 0, "key_id"), 1 << 32),
        (("records", 0, "key_id"), -1),
        (("records", 0, "expires_at_ms"), 1 << 63),
        (("records", 0, "revoked_at_ms"), -(1 << 63) - 1),
        (("records", 0, "canonical_sha256"), "AAAA"),
        (("records", 0, "payload"), {"b": 1, "a": 2}),
        (("records", 0, "payload"), 1 << 60),
        (("entries", 0, "chain"), "g" * 32),
        (("entries", 0, "chain"), "0" * 31),
        (("entries", 0, "number"), 0),
        (("entries", 0, "record_id"), "x"),
        (("entries", 0, "tenant"), ""),
    ],
)
def test_what_must_not_be_kept_is_invalid(
    dnastore: DnaStore, place: Sequence[str | int], value: object
) -> None:
    """A write with a part that cannot be is invalid, wholly, and stops no other."""
    answer = dnastore.call("POST", "/v1/writes", json.dumps(broken(place, value), separators=(",", ":")))
    assert answer.status == 200, answer.body
    assert outcomes(answer.body) == ["invalid", "done"]
    assert dnastore.call("GET", f"/v1/records/{record_id(1)}?tenant=acme").status == 404


def test_payload_must_be_there(dnastore: DnaStore, tenant: str) -> None:
    """A record without its payload is invalid: nobody could verify it."""
    without = msgspec.structs.replace(record(1, tenant=tenant), payload=None)
    assert dnastore.write(put(without)).results[0].outcome == "invalid"
    assert dnastore.write(PutOnce(WireRecord.of(without), CLAIM)).results[0].outcome == "invalid"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "syntax"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"writes":[{"kind":"drop"}]}', 422, "invalid_request"),
        (b'{"writes":[{"kind":"put","records":[{}]}]}', 422, "invalid_request"),
        (b'{"writes":[{"kind":"revoke","tenant":"\xff"}]}', 400, "invalid_utf8"),
        (b'{"writes":[{"kind":"put","records":[{"payload":' + b"[" * 100_000, 422, "nesting_too_deep"),
        (body_of(*[revocation(1, "a")] * (MOST_WRITES + 1)), 422, "invalid_request"),
        (body_of(put(*[record(1)] * (MOST_RECORDS + 1))), 422, "invalid_request"),
    ],
)
def test_what_is_no_request(dnastore: DnaStore, body: bytes, status: int, code: str) -> None:
    """A request without the form that it must have is refused as a whole, by a problem."""
    answer = dnastore.call("POST", "/v1/writes", body)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body


class Failing:
    """A store whose writes fail, each in its way."""

    def __init__(self, errors: Sequence[Exception | None]) -> None:
        self.errors = list(errors)
        self.begun = 0
        self.release = asyncio.Event()
        self.done = 0

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """Fail as the next is said to, when all may."""
        error = self.errors[self.begun]
        self.begun += 1
        await self.release.wait()
        if error is not None:
            raise error
        self.done += 1


async def test_outcomes_of_errors(tmp_path: Path) -> None:
    """Each error has its outcome, even a defect, which may have done anything; all begin at once."""
    store = Failing(
        [
            None,
            DuplicateRecordError("x"),
            InvalidRecordError("x"),
            IdempotencyKeyReusedError("x"),
            RecordCorruptError(record_id(1), "x"),
            StoreOverloadedError(),
            StoreUnavailableError("io"),
            RuntimeError("a defect"),
            None,
        ]
    )
    inside = Inside(tmp_path, store)
    writes = [put(record(number)) for number in range(len(store.errors))]
    call = asyncio.create_task(inside.call("POST", "/v1/writes", body_of(*writes)))
    await eventually(lambda: store.begun == len(writes))
    store.release.set()
    assert outcomes((await call).body) == [
        *("done", "duplicate", "invalid", "key_reused", "damaged", "overloaded", "unavailable"),
        *("unavailable", "done"),
    ]


async def test_a_tenant_outside_is_forbidden_alone(tmp_path: Path) -> None:
    """Writes of a tenant that the client may not touch are forbidden, wholly; others do not suffer."""
    store = Failing([None])
    store.release.set()
    inside = Inside(tmp_path, store, {"billing": ["acme"]})
    mixed = put(record(2), record(3, tenant="globex"))
    foreign = msgspec.structs.replace(ENTRY, tenant="globex")
    writes: list[Write] = [
        put(record(1, tenant="globex")),
        put(record(1)),
        mixed,
        put(entries=[foreign]),
        PutOnce(WireRecord.of(record(1, tenant="globex")), CLAIM),
        revocation(1, "globex"),
    ]
    answer = await inside.call("POST", "/v1/writes", body_of(*writes), names=["billing"])
    assert outcomes(answer.body) == ["forbidden", "done", "forbidden", "forbidden", "forbidden", "forbidden"]
    assert store.begun == 1


async def test_what_has_begun_is_finished(tmp_path: Path) -> None:
    """A write whose caller is sent away is done nevertheless."""
    store = Failing([None])
    inside = Inside(tmp_path, store)
    call = asyncio.create_task(inside.call("POST", "/v1/writes", body_of(put(record(1)))))
    await eventually(lambda: store.begun == 1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    store.release.set()
    await eventually(lambda: store.done == 1)


async def test_room_for_bodies(tmp_path: Path) -> None:
    """Bodies that would not find room together are refused while they would not, and taken afterwards."""
    store = Failing([None] * 6)
    inside = Inside(tmp_path, store, most=128 << 20)
    body = body_of(put(record(1)))

    def call(announced: int) -> asyncio.Task[Exchange]:
        headers = [(b"content-length", b"%d" % announced)]
        return asyncio.create_task(inside.call("POST", "/v1/writes", body, headers=headers))

    waiting = [call(128 << 20) for _ in range(4)]
    await eventually(lambda: store.begun == 4)
    refused = await call(1 << 20)
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "overloaded")
    store.release.set()
    await asyncio.gather(*waiting)
    assert (await call(1 << 20)).status == 200
