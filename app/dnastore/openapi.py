"""The OpenAPI description of the wire protocol: schemas from its types, paths written here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from app.dnastore.examples import ANSWERS, REQUESTS
from app.dnastore.health import Health, Readiness
from app.http.bodies import JSON, LINES
from app.http.openapi_parts import (
    COMMON_PROBLEMS,
    REQUEST_ID,
    RETRY_AFTER,
    Schema,
    lines_of,
    problem_examples,
    problems,
    ref,
)
from app.http.problem_catalogue import KINDS
from app.http.problems import ProblemDocument
from core.dnastore.wire import (
    MOST_LOOKED_UP,
    MOST_RECORDS,
    MOST_WRITES,
    PREFIX,
    Line,
    Lookup,
    Purge,
    Purged,
    WireRecord,
    WriteReply,
    WriteRequest,
)
from sigil_native import __version__

_LARGEST: Final = (1 << 63) - 1
_ID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
#: Any UUID: a listing goes on behind a damaged record, too.
_PLACE: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_DIGEST: Final[Schema] = {
    "pattern": "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$",
    "description": "32 bytes, base64.",
}
_MOMENT: Final[Schema] = {"minimum": -_LARGEST - 1, "maximum": _LARGEST}
#: What members of these names must be, in whichever type; the types themselves say less, as one write that is
#: wrong must not fail the others of its request.
_MEMBERS: Final[dict[str, Schema]] = {
    "tenant": {"minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000]+$"},
    "id": {"pattern": _ID},
    "record_id": {"pattern": _ID},
    "before": {"pattern": _ID},
    "key_id": {"minimum": 0, "maximum": (1 << 32) - 1},
    "number": {"minimum": 1, "maximum": _LARGEST},
    "chain": {"pattern": "^[0-9a-f]{32}$"},
    "canonical_sha256": _DIGEST,
    "key_digest": _DIGEST,
    "request_digest": _DIGEST,
    "issued_at_ms": _MOMENT,
    "expires_at_ms": _MOMENT,
    "created_at_ms": _MOMENT,
    "at_ms": _MOMENT,
    "now_ms": _MOMENT,
    "limit": {"minimum": 1, "maximum": _LARGEST},
    "payload": {"description": "The sealed value, in its RFC 8785 form to the last byte."},
}
_TRANSFER: Final = ("body_timeout", "body_too_large", "unsupported_media_type")
_BODY: Final = ("syntax", "invalid_utf8", "nesting_too_deep", "invalid_request", *_TRANSFER)
_STORE: Final = ("store_unavailable", "store_overloaded")

_DESCRIPTION: Final = """\
**Certificates.** Every connection is TLS 1.2 or newer, and every client shows a certificate of the
authorities that the server trusts. Its name (the alternative names of kinds DNS and URI, or else the common
name) must be in the server's allow-list, which maps it to the tenants that it may touch: otherwise 403
[`client_forbidden`](docs/problems/client_forbidden) or
[`tenant_forbidden`](docs/problems/tenant_forbidden). The list is judged anew for each request.

**Repeating.** Every write may be sent again: what has been done already is not done twice, and its outcome is
the same.

**Streams** are `application/x-ndjson`: a `Line` for each record or entry, and a last one, `{"end":true}`,
without which an answer is not whole.

**Errors** are `application/problem+json` (RFC 9457). Programs read `code`. Besides what each call lists, any
path answers 404 [`not_found`](docs/problems/not_found) and 405
[`method_not_allowed`](docs/problems/method_not_allowed), the second with the header `Allow`. Wherever GET is
allowed, HEAD is too."""


def _query(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_TENANT: Final = _query(
    "tenant",
    "Whose records.",
    {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000]+$"},
    required=True,
)
_PAYLOAD: Final = _query("payload", "Whether payloads come along.", {"type": "boolean", "default": False})
_LIMIT: Final = _query(
    "limit", "Lines, at most; without it all.", {"type": "integer", "minimum": 1, "maximum": _LARGEST}
)


def document() -> Schema:
    """The whole description, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DNAStore",
            "version": __version__,
            "summary": "Keeps the records of sigils, for other services.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ".", "description": "The server that this description came from"}],
        "tags": [
            {"name": "Records", "description": "Write, read and purge."},
            {"name": "Server", "description": "How the server is, and what it can do."},
        ],
        "security": [{"certificate": []}],
        "paths": {
            f"{PREFIX}/writes": {"post": _writes()},
            f"{PREFIX}/records": {"get": _list()},
            f"{PREFIX}/records/{{id}}": {"get": _get()},
            f"{PREFIX}/lookups": {"post": _look_up()},
            f"{PREFIX}/entries": {"get": _entries()},
            f"{PREFIX}/counts": {"get": _counts()},
            f"{PREFIX}/purges": {"post": _purge()},
            f"{PREFIX}/probe": {"post": _probe()},
            "/healthz": {"get": _health()},
            "/readyz": {"get": _readiness()},
            "/openapi.json": {"get": _openapi()},
        },
        "components": {
            "schemas": _schemas(),
            "examples": problem_examples(),
            "securitySchemes": {
                "certificate": {"type": "mutualTLS", "description": "A client certificate of the allow-list."}
            },
        },
    }


def _schemas() -> Schema:
    types = (
        WriteRequest,
        WriteReply,
        WireRecord,
        Lookup,
        Purge,
        Purged,
        Line,
        Health,
        Readiness,
        ProblemDocument,
    )
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        members: Schema = schema.get("properties", {})
        for name in members.keys() & _MEMBERS.keys():
            if (
                "$ref" not in members[name]
                and "anyOf" not in members[name]
                and members[name].get("type") != "boolean"
            ):
                members[name] |= _MEMBERS[name]
    schemas["WriteRequest"]["properties"]["writes"]["maxItems"] = MOST_WRITES
    schemas["Put"]["properties"]["records"]["maxItems"] = MOST_RECORDS
    schemas["Lookup"]["properties"]["ids"] |= {
        "items": {"type": "string", "pattern": _ID},
        "maxItems": MOST_LOOKED_UP,
    }
    for name in ("Put", "PutOnce"):
        schemas[name]["description"] += " Its records have payloads."
    schemas["ProblemDocument"]["properties"]["code"]["enum"] = sorted(KINDS)
    return schemas


def _operation(
    name: str,
    summary: str,
    description: str,
    answers: Schema,
    codes: Sequence[str],
    *,
    parameters: Sequence[Schema] = (),
    body: str | None = None,
) -> Schema:
    """A call for clients of the allow-list."""
    every = ("client_forbidden", "body_too_large", "invalid_query", *codes, *COMMON_PROBLEMS)
    described: Schema = {
        "operationId": name,
        "tags": ["Records"],
        "summary": summary,
        "description": description,
        "responses": {**answers, **problems(every, {503: RETRY_AFTER})},
    }
    if parameters:
        described["parameters"] = list(parameters)
    if body:
        content = {"schema": ref(body), "examples": REQUESTS[name]}
        described["requestBody"] = {"required": True, "content": {JSON.name.decode(): content}}
    return described


def _public(name: str, summary: str, description: str, answers: Schema, *codes: str) -> Schema:
    """A call for whoever has a good certificate."""
    return {
        "operationId": name,
        "tags": ["Server"],
        "summary": summary,
        "description": description,
        "responses": {
            **answers,
            **problems((*codes, "body_too_large", *COMMON_PROBLEMS), {503: RETRY_AFTER}),
        },
    }


def _answer(name: str, description: str, schema: Schema) -> Schema:
    content: Schema = {"schema": schema}
    if name in ANSWERS:
        content["examples"] = ANSWERS[name]
    return {"description": description, "headers": REQUEST_ID, "content": {JSON.name.decode(): content}}


def _stream(name: str, description: str) -> Schema:
    content = {"schema": lines_of(ref("Line")), "examples": ANSWERS[name]}
    return {"description": description, "headers": REQUEST_ID, "content": {LINES.name.decode(): content}}


def _writes() -> Schema:
    return _operation(
        "write",
        "Put and revoke records.",
        f"At most {MOST_WRITES} writes of {MOST_RECORDS} records together, of any tenants. Each is done "
        "wholly or not at all, and fails alone: the answer has an outcome for each. `done` is durable. "
        "`unavailable` and `overloaded` may be sent again; the others will be the same next time.",
        {"200": _answer("write", "What became of each.", ref("WriteReply"))},
        _BODY,
        body="WriteRequest",
    )


def _get() -> Schema:
    parameter: Schema = {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "A record's id.",
        "schema": {"type": "string", "pattern": _ID},
    }
    return _operation(
        "get",
        "One record.",
        "404 where the tenant has none with this id.",
        {"200": _answer("get", "The record.", ref("WireRecord"))},
        ("tenant_forbidden", "not_found", "record_corrupt", *_STORE),
        parameters=[parameter, _TENANT, _PAYLOAD],
    )


def _list() -> Schema:
    parameters = [
        _TENANT,
        _LIMIT,
        _query("before", "Only records with ids below this.", {"type": "string", "pattern": _PLACE}),
        _query(
            "status",
            "Only records that stand so.",
            {"type": "string", "enum": ["active", "expired", "revoked"]},
        ),
        _query(
            "now_ms",
            "At what time they stand so, in milliseconds since the Unix epoch; by default now.",
            {"type": "integer", "minimum": 0, "maximum": _LARGEST},
        ),
        _PAYLOAD,
    ]
    return _operation(
        "list",
        "A tenant's records, newest first.",
        "A stream, made as fast as it is read. A damaged record has a line that names it, in its "
        "place: go on behind it as behind any other.",
        {"200": _stream("list", "A line for each record.")},
        ("tenant_forbidden", *_STORE),
        parameters=parameters,
    )


def _look_up() -> Schema:
    return _operation(
        "lookUp",
        "Those of some records that there are.",
        f"A stream, with a line for each of at most {MOST_LOOKED_UP} ids that the tenant has a record of.",
        {"200": _stream("lookUp", "A line for each record.")},
        ("tenant_forbidden", *_BODY, *_STORE),
        body="Lookup",
    )


def _entries() -> Schema:
    parameters = [
        _TENANT,
        _query("chain", "With `number`, a place.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        _query("number", "With `chain`, a place.", {"type": "integer", "minimum": 0, "maximum": _LARGEST}),
        _LIMIT,
    ]
    return _operation(
        "entries",
        "A tenant's history, behind a place.",
        "A stream of the entries behind this place, by chain and number; without a place from the beginning.",
        {"200": _stream("entries", "A line for each entry.")},
        ("tenant_forbidden", *_STORE),
        parameters=parameters,
    )


def _counts() -> Schema:
    counts = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
    return _operation(
        "count",
        "How many records each tenant has.",
        "Of the tenants that the caller may touch. May take seconds.",
        {"200": _answer("count", "Numbers, by tenant.", counts)},
        _STORE,
    )


def _purge() -> Schema:
    return _operation(
        "purge",
        "Delete a tenant's oldest records.",
        "At most `limit` of those with ids below `before`; entries of the history stay.",
        {"200": _answer("purge", "How many it were.", ref("Purged"))},
        ("tenant_forbidden", *_BODY, *_STORE),
        body="Purge",
    )


def _probe() -> Schema:
    return _operation(
        "probe",
        "Write something durably.",
        "Answers when that has been done.",
        {"204": {"description": "It works.", "headers": REQUEST_ID}},
        _STORE,
    )


def _health() -> Schema:
    return _public(
        "health",
        "The process runs.",
        "For liveness probes. Looks at nothing else.",
        {"200": _answer("health", "It does.", ref("Health"))},
    )


def _readiness() -> Schema:
    return _public(
        "readiness",
        "A write would work.",
        "For readiness probes: the store is asked to write, at most once a second.",
        {"200": _answer("readiness", "It would.", ref("Readiness"))},
        "not_ready",
    )


def _openapi() -> Schema:
    return _public(
        "openapi",
        "The description of this protocol.",
        "In OpenAPI 3.1.",
        {"200": _answer("openapi", "The description.", {"type": "object"})},
    )
