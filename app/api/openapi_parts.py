"""What the operations of the description have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from app.api.examples import ANSWERS, REQUESTS
from app.http.bodies import JSON, LINES
from app.http.problem_catalogue import KINDS, problem_type
from app.http.problems import MEDIA_TYPE

Schema = dict[str, Any]

#: What can happen to any request.
_COMMON_PROBLEMS: Final = ("internal", "overloaded", "timeout")
_AUTH_PROBLEMS: Final = ("unauthenticated", "forbidden", "keys_unavailable")
_CALLER_LIMIT_PROBLEMS: Final = ("rate_limited", "limiter_unavailable")


def header(description: str, *, required: bool = True, **schema: Any) -> Schema:
    """A header of an answer."""
    return {"description": description, "required": required, "schema": {"type": "string", **schema}}


_REQUEST_ID: Final[Schema] = {
    "X-Request-Id": header(
        "Names this request in problems, log and audit. The request's own, if it sent one.",
        pattern="^[A-Za-z0-9._:/+=@-]{1,128}$",
    )
}


def _seconds(description: str, *, required: bool) -> Schema:
    return {
        "description": description,
        "required": required,
        "schema": {"type": "integer", "minimum": 1},
    }


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
        "Retry-After": _seconds(
            "Seconds after which the same request is allowed; missing where it never is.",
            required=False,
        )
    },
    503: {"Retry-After": _seconds("Seconds after which another attempt makes sense.", required=True)},
}


def operation(
    name: str,
    summary: str,
    description: str,
    role: str,
    answers: Schema,
    problems: Sequence[str],
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
                **_problems((*_AUTH_PROBLEMS, *_CALLER_LIMIT_PROBLEMS, *problems, *_COMMON_PROBLEMS)),
            }
        ),
    }
    if parameters:
        described["parameters"] = list(parameters)
    if body:
        content = {"schema": _lines(ref(body)) if lines else ref(body), "examples": REQUESTS[name]}
        media_type = (LINES if lines else JSON).name.decode()
        described["requestBody"] = {"required": True, "content": {media_type: content}}
    return described


def public(
    name: str, summary: str, description: str, answers: Schema, *problems: str, limited: bool = False
) -> Schema:
    """A call that needs no token; ``limited`` by address."""
    more = ("rate_limited",) if limited else ()
    responses = {**answers, **_problems((*problems, *more, "body_too_large", *_COMMON_PROBLEMS))}
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
        "headers": {**_REQUEST_ID, **(headers or {})},
        "content": {"application/json": content},
    }


def answer_lines(name: str, description: str, schema: str, headers: Schema | None = None) -> Schema:
    """A good answer of the batch ``name``: a value of this type, or an error, in each line."""
    either = {"anyOf": [ref(schema), ref("FailedLine")]}
    return {
        "description": description,
        "headers": {**_REQUEST_ID, **(headers or {})},
        "content": {LINES.name.decode(): {"schema": _lines(either), "examples": ANSWERS[name]}},
    }


def _lines(schema: Schema) -> Schema:
    """A text with a value in each line. JSON Schema has no word for that; ``contentSchema`` is next to it."""
    return {
        "type": "string",
        "pattern": "[^ \\t\\r\\n]",
        "contentMediaType": LINES.name.decode(),
        "contentSchema": schema,
    }


def _limited(responses: Schema) -> Schema:
    """Answers that tell about rate limits."""
    return {
        status: {**response, "headers": {**response["headers"], **_RATE_REFS}}
        for status, response in responses.items()
    }


def ref(name: str) -> Schema:
    """A type, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _problems(codes: Sequence[str]) -> Schema:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {str(status): _problem(status, kinds) for status, kinds in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> Schema:
    lines = [f"[`{code}`]({problem_type(code).removeprefix('/')}): {KINDS[code].title}." for code in codes]
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": "  \n".join(lines),
        "headers": {**_REQUEST_ID, **_STATUS_HEADERS.get(status, {})},
        "content": {MEDIA_TYPE.decode(): {"schema": ref("ProblemDocument"), "examples": examples}},
    }
