"""Examples for the description, made by the code that makes the answers."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from app.api.schemas import (
    Health,
    Readiness,
    SigilPage,
    failed_line,
    record_answer,
    record_with_data,
    verify_answer,
)
from app.http.openapi_parts import named
from app.http.problems import ProblemError
from core.cursor import write_cursor
from core.records import CanonicalJson, Record
from core.verdict import Verdict
from sigil_native import KeyRing, SigilCodec

_Example = dict[str, Any]

TENANT: Final = "acme"
PAYLOAD: Final = {"type": "order.paid", "amount": 1299.5}
OTHER_PAYLOAD: Final = {"type": "order.paid", "amount": 1299.51}
REASON: Final = "entered twice"
#: A seal over PAYLOAD for TENANT, by the secret of 32 times the letter s. The tests verify it.
SIGIL: Final = "sgl1_AQBqxyS0AAAAAAAAAAAAAAGbjX3xwHLBnU9qgMk-W3KA_s9xJJqMqHN1qu7VRIxo_7pjAw3yyvoYjTduNoEdsw"
TOKEN: Final = f"{SIGIL}.eyJhbW91bnQiOjEyOTkuNSwidHlwZSI6Im9yZGVyLnBhaWQifQ"

_CANONICAL: Final = CanonicalJson(b'{"amount":1299.5,"type":"order.paid"}')
_OTHER_CANONICAL: Final = b'{"amount":1299.51,"type":"order.paid"}'
_SEAL: Final = SigilCodec(KeyRing()).decode(SIGIL)
_SUBJECT: Final = "order-service"
_A_DAY: Final = 86_400_000


def _record(**revocation: Any) -> Record:
    return Record(
        tenant=TENANT,
        id=_SEAL.id,
        sigil=SIGIL,
        key_id=_SEAL.key_id,
        issued_at_ms=_SEAL.issued_at_ms,
        expires_at_ms=_SEAL.expires_at_ms,
        payload=_CANONICAL,
        canonical_sha256=hashlib.sha256(_CANONICAL).digest(),
        created_at_ms=_SEAL.issued_at_ms,
        created_by=_SUBJECT,
        **revocation,
    )


def _verdict(reason: str | None) -> Verdict:
    holds = reason is None
    return Verdict(
        valid=holds,
        reason=reason,
        signature="valid" if holds else "invalid",
        time="valid" if holds else "unchecked",
        key_state="active",
        revocation="not_recorded" if holds else "unchecked",
        sigil=_SEAL,
        canonical_sha256=hashlib.sha256(_CANONICAL if holds else _OTHER_CANONICAL).digest(),
    )


def _lines(*values: object) -> str:
    return msgspec.json.Encoder().encode_lines(values).decode()


_NOW: Final = _SEAL.issued_at_ms
_KEPT: Final = record_answer(_record(), _NOW)
_REVOKED: Final = record_answer(
    _record(revoked_at_ms=_NOW + _A_DAY, revoked_by=_SUBJECT, revoked_reason=REASON), _NOW + _A_DAY
)
_FAILED: Final = failed_line(2, ProblemError("invalid_request", "Expected `object`", pointer="/data"))

#: What requests may look like, by operation.
REQUESTS: Final[dict[str, _Example]] = {
    "encode": named(
        forever=("A seal that never expires", {"data": PAYLOAD}),
        an_hour=("A seal for an hour", {"data": PAYLOAD, "expires_in": 3600}),
    ),
    "verify": named(
        payload=("The text form, with its payload", {"sigil": SIGIL, "data": PAYLOAD}),
        changed=("A payload that was changed", {"sigil": SIGIL, "data": OTHER_PAYLOAD}),
        strand=("The DNA form, with its payload", {"sigil": _SEAL.strand, "data": PAYLOAD}),
        token=("A token, which carries its payload", {"sigil": TOKEN}),
    ),
    "encodeBatch": named(
        two=("Two payloads", _lines({"data": PAYLOAD}, {"data": OTHER_PAYLOAD, "expires_in": 3600})),
        wrong=("The second is none", _lines({"data": PAYLOAD}, {"data": []})),
    ),
    "verifyBatch": named(
        two=(
            "A payload, and one that was changed",
            _lines({"sigil": SIGIL, "data": PAYLOAD}, {"sigil": SIGIL, "data": OTHER_PAYLOAD}),
        ),
    ),
    "revoke": named(reason=("A reason", {"reason": REASON})),
}

#: What good answers look like, by operation.
ANSWERS: Final[dict[str, _Example]] = {
    "encode": named(record=("The new record", _KEPT)),
    "verify": named(
        valid=("A seal that holds", verify_answer(_verdict(None))),
        changed=("The payload is not what was sealed", verify_answer(_verdict("tag_mismatch"))),
    ),
    "encodeBatch": named(
        wrong=("A record, and what is wrong with the second line", _lines(_KEPT, _FAILED)),
    ),
    "verifyBatch": named(
        two=(
            "A seal that holds, and one that does not",
            _lines(verify_answer(_verdict(None)), verify_answer(_verdict("tag_mismatch"))),
        ),
    ),
    "list": named(
        piece=("A piece, and where the next one begins", SigilPage([_KEPT], write_cursor(_SEAL.id), False)),
        last=("The last piece", SigilPage([_KEPT], None, False)),
        withheld=("A piece with a record that is not shown", SigilPage([], None, False, [_SEAL.id])),
    ),
    "get": named(record=("The record and its payload", record_with_data(_record(), _SEAL, _NOW))),
    "revoke": named(record=("The record as it stands", _REVOKED)),
    "health": named(ok=("The process runs", Health("ok"))),
    "readiness": named(ready=("An encode would work", Readiness("ready", "ok", "ok", "ok", "ok"))),
}
