"""The OpenAPI description: schemas from the types, paths written here.

The pages under ``/docs`` are not in it: they are for people, and no part of the API.
"""

from __future__ import annotations

from typing import Final

import msgspec

from app.api.examples import SIGIL
from app.api.openapi_parts import (
    RATE_HEADERS,
    answer,
    answer_lines,
    operation,
    public,
)
from app.api.paths import BASE
from app.api.schemas import (
    BrokenOff,
    EncodeRequest,
    FailedLine,
    Health,
    Readiness,
    RevokeRequest,
    SigilPage,
    SigilRecord,
    SigilRecordWithData,
    StreamEnd,
    VerifyAnswer,
    VerifyRequest,
)
from app.authentication.roles import ENCODE_ROLE, READ_ROLE, REVOKE_ROLE, VERIFY_ROLE
from app.http.idempotency import PATTERN as IDEMPOTENCY_KEY
from app.http.lines import MOST_LINES, MOST_STREAMED_LINES
from app.http.openapi_parts import Schema, header, problem_examples
from app.http.problem_catalogue import KINDS
from app.http.problems import ProblemDocument
from sigil_native import KeyRing, SigilCodec, __version__

#: What any body can have wrong.
_TRANSFER_PROBLEMS: Final = ("body_timeout", "body_too_large", "unsupported_media_type")
#: What a JSON text can have wrong.
_LINE_PROBLEMS: Final = (
    "syntax",
    "trailing_data",
    "invalid_utf8",
    "byte_order_mark",
    "lone_surrogate",
    "duplicate_name",
    "non_finite_number",
    "integer_range",
    "nesting_too_deep",
    "invalid_request",
)
_BODY_PROBLEMS: Final = (*_LINE_PROBLEMS, *_TRANSFER_PROBLEMS)
_LINES_PROBLEMS: Final = (*_TRANSFER_PROBLEMS, "empty_batch", "too_many_lines", "invalid_query")
_WITHHELD: Final = ("record_corrupt", "record_unverifiable")
_KEY_PROBLEMS: Final = ("invalid_idempotency_key", "idempotency_key_reused")
_STORE_PROBLEMS: Final = ("store_unavailable", "store_overloaded")

_DESCRIPTION: Final = """\
**Tokens.** Send a JWT of your issuer as `Authorization: Bearer <token>`. It names your tenant and your
roles; each call below says which role it needs. Another tenant's records do not exist for you.

**Bodies** are `application/json` in UTF-8, not compressed; those of batches `application/x-ndjson`, a JSON
object a line, and so are their answers. Unknown members, duplicate names and integers
that other readers would round are refused.

**Errors** are `application/problem+json` (RFC 9457). Programs read `code`; `type` leads to
[a page](docs/problems) about it; `request_id` helps the operator to find the request. Besides what each call
lists, any path answers 404 [`not_found`](docs/problems/not_found) and 405
[`method_not_allowed`](docs/problems/method_not_allowed), the second with the header `Allow`.

**Rate limits.** Your requests count in your own limit and in your tenant's, those without a good token in
that of their address. A batch counts once for each line. Answers say how these stand; beyond one of them, the
answer is 429 [`rate_limited`](docs/problems/rate_limited).

**Request ids.** A request may choose its `X-Request-Id`: 1 to 128 of `A-Z a-z 0-9 . _ : / + = @ -`. Otherwise
it gets one. Wherever GET is allowed, HEAD is too."""

_BATCH: Final = (
    f"Each line that is not blank, at most {MOST_LINES}, is a request of its own, and the answer has a line "
    "for each, in their order. One that is wrong gets a `FailedLine` and stops no other. Each counts in your "
    "rate limits; if these do not allow all, nothing is done.\n\n"
    f"With `stream=true` there may be {MOST_STREAMED_LINES} lines. The body is then carried out piece by "
    "piece while it comes, and all of this holds for each; one is answered before the next one is read. "
    "The last line of the answer is a `StreamEnd`, or a `BrokenOff` that says from which line on nothing was "
    "answered."
)
_STREAM_PARAMETER: Final[Schema] = {
    "name": "stream",
    "in": "query",
    "description": "Carry the batch out piece by piece.",
    "schema": {"type": "boolean", "default": False},
}
_ID_PARAMETER: Final[Schema] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "A sigil's id.",
    "schema": {"type": "string", "format": "uuid"},
    "example": SigilCodec(KeyRing()).decode(SIGIL).id,
}
_IDEMPOTENCY_PARAMETER: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    # No example: the reference would fill it in, and the second thing somebody tries would be refused.
    "description": "Makes it safe to send the request again: the same key and request give the same record. "
    "In quotes or bare; a random UUID does well.",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY},
}
_LIST_PARAMETERS: Final[list[Schema]] = [
    {
        "name": "limit",
        "in": "query",
        "description": "Records in an answer, at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "`next_cursor` of the answer before.",
        "schema": {"type": "string", "pattern": "^A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$"},
    },
    {
        "name": "status",
        "in": "query",
        "description": "Only records that stand so.",
        "schema": {"type": "string", "enum": ["active", "expired", "revoked"]},
    },
]


def document() -> Schema:
    """The whole description, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sigil DNA",
            "version": __version__,
            "summary": "Seals JSON payloads, and tells later whether they are still what was sealed.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Relative to the description, so that it also holds behind a proxy with a prefix.
        "servers": [{"url": ".", "description": "The service that this description came from"}],
        "tags": [
            {"name": "Sigils", "description": "Seal, verify, read and revoke."},
            {"name": "Service", "description": "How the service is, and what it can do."},
        ],
        "paths": {
            BASE: {"post": _encode(), "get": _list()},
            f"{BASE}/batch": {"post": _encode_batch()},
            f"{BASE}/verify": {"post": _verify()},
            f"{BASE}/verify/batch": {"post": _verify_batch()},
            f"{BASE}/{{id}}": {"get": _get()},
            f"{BASE}/{{id}}/revoke": {"post": _revoke()},
            "/healthz": {"get": _health()},
            "/readyz": {"get": _readiness()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {
            "schemas": _schemas(),
            "examples": problem_examples(),
            "headers": RATE_HEADERS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of your issuer. "
                    "`python -m app token --tenant acme` makes one for development.",
                }
            },
        },
    }


def _schemas() -> Schema:
    types = (
        EncodeRequest,
        VerifyRequest,
        RevokeRequest,
        SigilRecord,
        SigilRecordWithData,
        SigilPage,
        VerifyAnswer,
        FailedLine,
        StreamEnd,
        BrokenOff,
        Health,
        Readiness,
        ProblemDocument,
    )
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    # Without data only a token, which carries its own, can be verified.
    schemas["VerifyRequest"]["anyOf"] = [
        {"required": ["data"]},
        {"properties": {"sigil": {"type": "string", "pattern": "\\."}}},
    ]
    for any_kind in ("ProblemDocument", "BreakProblem"):
        schemas[any_kind]["properties"]["code"]["enum"] = sorted(KINDS)
    schemas["LineProblem"]["properties"]["code"]["enum"] = sorted({*_LINE_PROBLEMS, "data_missing"})
    return schemas


_STALE: Final = {
    "Sigil-Stale": header(
        "The store cannot be asked now: this is what the host knows, and may be overtaken.",
        required=False,
        const="true",
    )
}


def _encode() -> Schema:
    location = header("The record's path.", pattern=f"^{BASE}/[0-9a-f-]{{36}}$")
    replayed = header(
        "An earlier request with this key made the record, which is shown as it stands.",
        required=False,
        const="true",
    )
    headers = {"Location": location, "Idempotency-Replayed": replayed, **_STALE}
    created = answer("encode", "Sealed and kept.", "SigilRecord", headers)
    created["links"] = {
        "get": {"operationId": "get", "parameters": {"id": "$response.body#/id"}},
        "revoke": {"operationId": "revoke", "parameters": {"id": "$response.body#/id"}},
        "verify": {
            "operationId": "verify",
            "requestBody": {"sigil": "$response.body#/sigil", "data": "$request.body#/data"},
        },
    }
    return operation(
        "encode",
        "Seal a payload and keep its record.",
        "Seals `data` for your tenant. When the answer arrives, the record is on disk. A request without an "
        "answer, or with a 5xx, may or may not have left a record; with an `Idempotency-Key`, send it again.",
        ENCODE_ROLE,
        {"201": created},
        (
            *_BODY_PROBLEMS,
            *_KEY_PROBLEMS,
            *_WITHHELD,
            *_STORE_PROBLEMS,
            "audit_unavailable",
            "no_active_key",
        ),
        parameters=[_IDEMPOTENCY_PARAMETER],
        body="EncodeRequest",
    )


def _verify() -> Schema:
    return operation(
        "verify",
        "Judge a sigil and a payload.",
        "A sigil that does not hold is an answer, not an error: `valid` is false, and `reason` says why. "
        "Member order, white space and number format may differ from what was sealed.",
        VERIFY_ROLE,
        {"200": answer("verify", "The verdict.", "VerifyAnswer", _STALE)},
        (*_BODY_PROBLEMS, "data_missing", "audit_unavailable"),
        body="VerifyRequest",
    )


def _encode_batch() -> Schema:
    return operation(
        "encodeBatch",
        "Seal many payloads and keep their records.",
        f"{_BATCH} When the answer arrives, all records are on disk. They are kept together or not at all: a "
        "request without an answer, or with a 5xx, may or may not have left all of them.",
        ENCODE_ROLE,
        {"200": answer_lines("encodeBatch", "A record or an error for each line.", "SigilRecord")},
        (
            *_LINES_PROBLEMS,
            "idempotency_key_refused",
            *_STORE_PROBLEMS,
            "audit_unavailable",
            "no_active_key",
        ),
        parameters=[_STREAM_PARAMETER],
        body="EncodeRequest",
        lines=True,
    )


def _verify_batch() -> Schema:
    return operation(
        "verifyBatch",
        "Judge many sigils and payloads.",
        _BATCH,
        VERIFY_ROLE,
        {"200": answer_lines("verifyBatch", "A verdict or an error for each line.", "VerifyAnswer", _STALE)},
        (*_LINES_PROBLEMS, "audit_unavailable"),
        parameters=[_STREAM_PARAMETER],
        body="VerifyRequest",
        lines=True,
    )


def _list() -> Schema:
    piece = answer("list", "A piece of the listing.", "SigilPage", _STALE)
    piece["links"] = {
        "next": {"operationId": "list", "parameters": {"cursor": "$response.body#/next_cursor"}},
        "get": {"operationId": "get", "parameters": {"id": "$response.body#/sigils/0/id"}},
    }
    return operation(
        "list",
        "The tenant's records, newest first.",
        "Without payloads. A walk along the cursors shows each record once while others are added. One that "
        "must not be shown stops no other: `withheld` has its id.",
        READ_ROLE,
        {"200": piece},
        ("invalid_query", "invalid_cursor", "body_too_large", *_STORE_PROBLEMS),
        parameters=_LIST_PARAMETERS,
    )


def _get() -> Schema:
    return operation(
        "get",
        "A record and its payload.",
        "The seal is checked again on the way out; a record that is no longer what was sealed is withheld.",
        READ_ROLE,
        {"200": answer("get", "The record.", "SigilRecordWithData", _STALE)},
        ("invalid_query", "not_found", "body_too_large", *_WITHHELD, *_STORE_PROBLEMS),
        parameters=[_ID_PARAMETER],
    )


def _revoke() -> Schema:
    return operation(
        "revoke",
        "Revoke a record.",
        "From now on its sigil is not valid. Revoking twice changes nothing: the first reason stays.",
        REVOKE_ROLE,
        {"200": answer("revoke", "The record as it stands.", "SigilRecord", _STALE)},
        (*_BODY_PROBLEMS, "not_found", "record_corrupt", *_STORE_PROBLEMS, "audit_unavailable"),
        parameters=[_ID_PARAMETER],
        body="RevokeRequest",
    )


def _health() -> Schema:
    return public(
        "health",
        "The process runs.",
        "For liveness probes. Looks at nothing else.",
        {"200": answer("health", "It does.", "Health")},
    )


def _readiness() -> Schema:
    return public(
        "readiness",
        "An encode would work.",
        "For readiness probes: a key may sign, the store takes writes, tokens can be checked.",
        {"200": answer("readiness", "It would.", "Readiness")},
        "not_ready",
    )


def _openapi() -> Schema:
    return public(
        "openapi",
        "The description of this API.",
        "In OpenAPI 3.1. The reference is made from it.",
        {"200": answer("openapi", "The description.", None)},
        limited=True,
    )
