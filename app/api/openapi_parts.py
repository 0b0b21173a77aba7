"""What the operations of the description have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.api.examples import ANSWERS, REQUESTS
from app.http.bodies import JSON, LINES
from app.http.openapi_parts import (
    COMMON_PROBLEMS,
    REQUEST_ID,
    RETRY_AFTER,
    Schema,
    header,
    lines_of,
    problems,
    ref,
    seconds,
)

_AUTH_PROBLEMS: Final = ("unauthenticated", "forbidden", "keys_unavailable")
_CALLER_LIMIT_PROBLEMS: Final = ("rate_limited", "limiter_unavailable")


def _number(description: str) -> Schema:
    return {"description": description, "required": False, "schema": {"type": "integer", "minimum": 0}}


#: What answers say about rate limits, where these are in force: the description's ``components.headers``.
RATE_HEADERS: Final[dict[str, Schema]] = {
    "X-RateLimit-Limit": _number("Requests that may come at once, by the limit that is tightest now."),
    "X-RateLimit-Remaining": _number("Requests that this limit has left."),
    "X-RateLimit-Reset": _number("Seconds until it is all there again, if you send nothing."),
    "RateLimit-Policy": {
        "description": "Every limit that the request counts in, by name: `q` requests in `w` seconds "
        "(draft-ietf-httpapi-ratelimit-headers).",
        "required": False,
        "schema": {"type": "string"},
        "example": '"user";q=200;w=10, "tenant";q=2000;w=10',
    },
    "RateLimit": {
        "description": "How each stands: `r` requests are left, and no more than these for `t` seconds.",
        "required": False,
        "schema": {"type": "string"},
        "example": '"user";r=199;t=1, "tenant";r=1999;t=1',
    },
}
_RATE_REFS: Final[Schema] = {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}
#: What problems of a status bring along.
_STATUS_HEADERS: Final[dict[int, Schema]] = {
    401: {"WWW-Authenticate": header("How to authenticate (RFC 6750).", pattern="^Bearer ")},
    403: {"WWW-Authenticate": header("Names the role that is missing.", required=False, pattern="^Bearer ")},
    429: {
        "Retry-After": seconds(
            "Seconds after which the same request is allowed; missing where it never is.",
            required=False,
        )
    },
    503: RETRY_AFTER,
}


def operation(
    name: str,
    summary: str,
    description: str,
    role: str,
    answers: Schema,
    codes: Sequence[str],
    *,
    parameters: Sequence[Schema] = (),
    body: str | None = None,
    lines: bool = False,
) -> Schema:
    """A call that needs a token with a role; ``lines``: with a body of one or more in each line."""
    described: Schema = {
        "operationId": name,
        "tags": ["Sigils"],
        "summary": summary,
        "description": f"{description}\n\nNeeds the role `{role}`.",
        "security": [{"bearer": []}],
        "responses": _limited(
            {
                **answers,
                **problems(
                    (*_AUTH_PROBLEMS, *_CALLER_LIMIT_PROBLEMS, *codes, *COMMON_PROBLEMS), _STATUS_HEADERS
                ),
            }
        ),
    }
    if parameters:
        described["parameters"] = list(parameters)
    if body:
        content = {"schema": lines_of(ref(body)) if lines else ref(body), "examples": REQUESTS[name]}
        media_type = (LINES if lines else JSON).name.decode()
        described["requestBody"] = {"required": True, "content": {media_type: content}}
    return described


def public(
    name: str, summary: str, description: str, answers: Schema, *codes: str, limited: bool = False
) -> Schema:
    """A call that needs no token; ``limited`` by address."""
    more = ("rate_limited",) if limited else ()
    responses = {**answers, **problems((*codes, *more, "body_too_large", *COMMON_PROBLEMS), _STATUS_HEADERS)}
    return {
        "operationId": name,
        "tags": ["Service"],
        "summary": summary,
        "description": description,
        "security": [],
        "responses": _limited(responses) if limited else responses,
    }


def answer(name: str, description: str, schema: str | None, headers: Schema | None = None) -> Schema:
    """A good answer of the operation ``name``."""
    content: Schema = {"schema": ref(schema) if schema else {"type": "object"}}
    if name in ANSWERS:
        content["examples"] = ANSWERS[name]
    return {
        "description": description,
        "headers": {**REQUEST_ID, **(headers or {})},
        "content": {"application/json": content},
    }


def answer_lines(name: str, description: str, schema: str, headers: Schema | None = None) -> Schema:
    """A good answer of the batch ``name``: a value of this type, or an error, in each line; then its end."""
    either = {"anyOf": [ref(one) for one in (schema, "FailedLine", "StreamEnd", "BrokenOff")]}
    return {
        "description": description,
        "headers": {**REQUEST_ID, **(headers or {})},
        "content": {LINES.name.decode(): {"schema": lines_of(either), "examples": ANSWERS[name]}},
    }


def _limited(responses: Schema) -> Schema:
    """Answers that tell about rate limits."""
    return {
        status: {**response, "headers": {**response["headers"], **_RATE_REFS}}
        for status, response in responses.items()
    }
