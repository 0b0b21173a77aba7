"""The OpenAPI description: schemas from the types, paths written here."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from app.api.schemas import (
    EncodeRequest,
    Health,
    Readiness,
    RevokeRequest,
    SigilPage,
    SigilRecord,
    SigilRecordWithData,
    VerifyAnswer,
    VerifyRequest,
)
from app.http.idempotency import PATTERN as IDEMPOTENCY_KEY
from app.http.problems import KINDS, MEDIA_TYPE, ProblemDocument
from sigil_native import __version__

_Schema = dict[str, Any]

_BODY_PROBLEMS: Final = (
    "syntax",
    "invalid_request",
    "body_timeout",
    "body_too_large",
    "unsupported_media_type",
)
#: What can happen to any request; probes are never overloaded.
_COMMON_PROBLEMS: Final = ("internal", "overloaded", "timeout")
_AUTH_PROBLEMS: Final = ("unauthenticated", "forbidden", "keys_unavailable")
_WITHHELD: Final = ("record_corrupt", "record_unverifiable")
_KEY_PROBLEMS: Final = ("invalid_idempotency_key", "idempotency_key_reused")
_STORE_PROBLEMS: Final = ("store_unavailable", "store_overloaded")

_ID_PARAMETER: Final[_Schema] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "A sigil's id.",
    "schema": {"type": "string", "format": "uuid"},
}
_IDEMPOTENCY_PARAMETER: Final[_Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to send the request again: the same key and request give the same record. "
    "In quotes or bare.",
    "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY},
    "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
}
_LIST_PARAMETERS: Final[list[_Schema]] = [
    {
        "name": "limit",
        "in": "query",
        "description": "Records in an answer.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "next_cursor of the answer before.",
        "schema": {"type": "string", "pattern": "^A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$"},
    },
    {
        "name": "status",
        "in": "query",
        "description": "Only records that stand so.",
        "schema": {"type": "string", "enum": ["active", "expired", "revoked"]},
    },
]

_REPLY_HEADERS: Final[dict[str, _Schema]] = {
    "X-Request-Id": {"description": "The request's id.", "schema": {"type": "string"}},
}


def document() -> _Schema:
    """The whole description, OpenAPI 3.1."""
    types = (
        EncodeRequest,
        VerifyRequest,
        RevokeRequest,
        SigilRecord,
        SigilRecordWithData,
        SigilPage,
        VerifyAnswer,
        Health,
        Readiness,
        ProblemDocument,
    )
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    # Without data only a token, which carries its own, can be verified.
    components["VerifyRequest"]["anyOf"] = [
        {"required": ["data"]},
        {"properties": {"sigil": {"type": "string", "pattern": "\\."}}},
    ]
    components["ProblemDocument"]["properties"]["code"]["enum"] = sorted(KINDS)
    base = "/api/consciousness/sigils"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sigil DNA",
            "version": __version__,
            "description": "Tamper-evident seals for JSON payloads.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            base: {"get": _list(), "post": _encode()},
            f"{base}/verify": {"post": _verify()},
            f"{base}/{{id}}": {"get": _get()},
            f"{base}/{{id}}/revoke": {"post": _revoke()},
            "/healthz": {"get": _page("health", "The process runs.", "Health")},
            "/readyz": {"get": _page("readiness", "An encode would work.", "Readiness", "not_ready")},
            "/openapi.json": {"get": _page("openapi", "This document.", None)},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _encode() -> _Schema:
    created = _answer("Sealed and kept.", "SigilRecord")
    created["headers"] = {
        **_REPLY_HEADERS,
        "Location": {"description": "Where the record is.", "schema": {"type": "string"}},
        "Idempotency-Replayed": {
            "description": "An earlier request with this key made the record, which is shown as it stands.",
            "schema": {"type": "string", "const": "true"},
        },
    }
    return _operation(
        "encode",
        "Seal a payload and keep its record.",
        "sigil:encode",
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


def _verify() -> _Schema:
    return _operation(
        "verify",
        "Judge a sigil and a payload. A sigil that does not hold is an answer, not an error.",
        "sigil:verify",
        {"200": _answer("The verdict.", "VerifyAnswer")},
        (*_BODY_PROBLEMS, "audit_unavailable"),
        body="VerifyRequest",
    )


def _list() -> _Schema:
    return _operation(
        "list",
        "The tenant's records, newest first.",
        "sigil:read",
        {"200": _answer("A piece of the listing.", "SigilPage")},
        ("invalid_query", "body_too_large", "record_corrupt", *_STORE_PROBLEMS),
        parameters=_LIST_PARAMETERS,
    )


def _get() -> _Schema:
    return _operation(
        "get",
        "A record and its payload, the seal checked again.",
        "sigil:read",
        {"200": _answer("The record.", "SigilRecordWithData")},
        ("invalid_query", "not_found", "body_too_large", *_WITHHELD, *_STORE_PROBLEMS),
        parameters=[_ID_PARAMETER],
    )


def _revoke() -> _Schema:
    return _operation(
        "revoke",
        "Revoke a record. The first reason stays.",
        "sigil:revoke",
        {"200": _answer("The record as it stands.", "SigilRecord")},
        (*_BODY_PROBLEMS, "not_found", "record_corrupt", *_STORE_PROBLEMS, "audit_unavailable"),
        parameters=[_ID_PARAMETER],
        body="RevokeRequest",
    )


def _operation(
    name: str,
    summary: str,
    role: str,
    answers: _Schema,
    problems: tuple[str, ...],
    *,
    parameters: list[_Schema] | None = None,
    body: str | None = None,
) -> _Schema:
    operation: _Schema = {
        "operationId": name,
        "summary": summary,
        "description": f"Needs the role `{role}`.",
        "security": [{"bearer": []}],
        "responses": {**answers, **_problems((*_AUTH_PROBLEMS, *problems, *_COMMON_PROBLEMS))},
    }
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return operation


def _page(name: str, summary: str, answer: str | None, *problems: str) -> _Schema:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {
            "200": _answer(summary, answer),
            **_problems(("body_too_large", *_COMMON_PROBLEMS, *problems)),
        },
    }


def _answer(description: str, schema: str | None) -> _Schema:
    content = {"schema": _ref(schema) if schema else {"type": "object"}}
    return {
        "description": description,
        "headers": _REPLY_HEADERS,
        "content": {"application/json": content},
    }


def _problems(codes: tuple[str, ...]) -> _Schema:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(KINDS[code].status, []).append(KINDS[code].title)
    return {
        str(status): {
            "description": "; ".join(titles) + ".",
            "headers": _REPLY_HEADERS,
            "content": {MEDIA_TYPE.decode(): {"schema": _ref("ProblemDocument")}},
        }
        for status, titles in sorted(by_status.items())
    }


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}
