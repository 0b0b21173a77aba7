"""Examples for the description."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from app.dnastore.health import Health, Readiness
from app.http.openapi_parts import Schema, named
from core.dnastore.wire import (
    Line,
    Lookup,
    Purge,
    Purged,
    Put,
    PutOnce,
    Revoke,
    WireRecord,
    WriteReply,
    WriteRequest,
    WriteResult,
)
from core.idempotency import Claim
from core.records import CanonicalJson, Entry, Record

_TENANT: Final = "acme"
#: A seal over the payload for the tenant, by the secret of 32 times the letter s.
_SIGIL: Final = "sgl1_AQBqxyS0AAAAAAAAAAAAAAGbjX3xwHLBnU9qgMk-W3KA_s9xJJqMqHN1qu7VRIxo_7pjAw3yyvoYjTduNoEdsw"
_ID: Final = "019b8d7d-f1c0-72c1-9d4f-6a80c93e5b72"
_ISSUED: Final = 0x019B8D7DF1C0
_PAYLOAD: Final = CanonicalJson(b'{"amount":1299.5,"type":"order.paid"}')
_RECORD: Final = Record(
    tenant=_TENANT,
    id=_ID,
    sigil=_SIGIL,
    key_id=0x6AC724B4,
    issued_at_ms=_ISSUED,
    expires_at_ms=0,
    payload=_PAYLOAD,
    canonical_sha256=hashlib.sha256(_PAYLOAD).digest(),
    created_at_ms=_ISSUED,
    created_by="order-service",
)
_SENT: Final = WireRecord.of(_RECORD)
_REVOKED: Final = WireRecord.of(
    msgspec.structs.replace(
        _RECORD,
        payload=None,
        revoked_at_ms=_ISSUED + 1000,
        revoked_by="order-service",
        revoked_reason="entered twice",
    )
)
_CLAIM: Final = Claim(hashlib.sha256(b"key").digest(), hashlib.sha256(b"request").digest())
_ENTRY: Final = Entry(
    tenant=_TENANT,
    chain="0123456789abcdef0123456789abcdef",
    number=1,
    step="sealed",
    record_id=_ID,
    at_ms=_ISSUED,
    previous="",
    seal=_SIGIL,
)


def _lines(*lines: Line) -> str:
    return msgspec.json.Encoder().encode_lines([*lines, Line(end=True)]).decode()


#: What can be sent, by operation.
REQUESTS: Final[dict[str, Schema]] = {
    "write": named(
        put=("A record, and its place in the history", WriteRequest([Put([_SENT], [_ENTRY])])),
        put_once=("A record, under an idempotency key", WriteRequest([PutOnce(_SENT, _CLAIM)])),
        revoke=(
            "A revocation",
            WriteRequest([Revoke(_TENANT, _ID, "entered twice", "order-service", _ISSUED + 1000)]),
        ),
    ),
    "lookUp": named(one=("One record", Lookup(_TENANT, [_ID], payload=True))),
    "purge": named(some=("At most a thousand records", Purge(_TENANT, _ID, 1000))),
}

#: What good answers look like, by operation.
ANSWERS: Final[dict[str, Schema]] = {
    "write": named(
        done=("All done", WriteReply([WriteResult("done"), WriteResult("done", _REVOKED)])),
        some=("One done, one not allowed", WriteReply([WriteResult("done"), WriteResult("forbidden")])),
    ),
    "get": named(record=("The record and its payload", _SENT)),
    "list": named(
        one=("One record", _lines(Line(record=_SENT))),
        damaged=("One that cannot be read", _lines(Line(damaged=_ID))),
    ),
    "lookUp": named(
        one=("One record, and one that cannot be read", _lines(Line(record=_SENT), Line(damaged=_ID)))
    ),
    "entries": named(one=("One entry", _lines(Line(entry=_ENTRY)))),
    "count": named(two=("Two tenants", {_TENANT: 2, "globex": 1})),
    "purge": named(some=("Twelve records", Purged(12))),
    "health": named(ok=("The process runs", Health("ok"))),
    "readiness": named(ready=("A write would work", Readiness("ready", "ok"))),
}
