"""Parts of OpenAPI descriptions that are the same for every API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from app.http.bodies import LINES
from app.http.problem_catalogue import KINDS, problem_type
from app.http.problems import MEDIA_TYPE, ProblemDocument

Schema = dict[str, Any]

#: What can happen to any request.
COMMON_PROBLEMS: Final = ("internal", "overloaded", "timeout")
_EXAMPLE_ID: Final = "8b7081be0a96fe83a58a368475cb4361"


def header(description: str, *, required: bool = True, **schema: Any) -> Schema:
    """A header of an answer."""
    return {"description": description, "required": required, "schema": {"type": "string", **schema}}


def seconds(description: str, *, required: bool) -> Schema:
    """A header with a number of seconds."""
    return {
        "description": description,
        "required": required,
        "schema": {"type": "integer", "minimum": 1},
    }


#: What every answer has.
REQUEST_ID: Final[Schema] = {
    "X-Request-Id": header(
        "Names this request in problems, log and audit. The request's own, if it sent one.",
        pattern="^[A-Za-z0-9._:/+=@-]{1,128}$",
    )
}
#: What every 503 has.
RETRY_AFTER: Final[Schema] = {
    "Retry-After": seconds("Seconds after which another attempt makes sense.", required=True)
}


def ref(name: str) -> Schema:
    """A type, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def lines_of(schema: Schema) -> Schema:
    """A text with a value in each line. JSON Schema has no word for that; ``contentSchema`` is next to it."""
    return {
        "type": "string",
        "pattern": "[^ \\t\\r\\n]",
        "contentMediaType": LINES.name.decode(),
        "contentSchema": schema,
    }


def named(**examples: tuple[str, object]) -> Schema:
    """Examples by name, each with its summary."""
    return {
        name: {"summary": summary, "value": msgspec.json.decode(msgspec.json.encode(value))}
        for name, (summary, value) in examples.items()
    }


def problem_examples() -> Schema:
    """A document of each kind of problem, by its code."""
    return named(
        **{
            code: (kind.title, ProblemDocument.of(code, detail=kind.title, request_id=_EXAMPLE_ID))
            for code, kind in KINDS.items()
        }
    )


def problems(codes: Sequence[str], headers: Mapping[int, Schema]) -> Schema:
    """Answers with these problems, by status; ``headers``: what those of a status bring along."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {
        str(status): _problem(kinds, headers.get(status, {})) for status, kinds in sorted(by_status.items())
    }


def _problem(codes: Sequence[str], headers: Schema) -> Schema:
    lines = [f"[`{code}`]({problem_type(code).removeprefix('/')}): {KINDS[code].title}." for code in codes]
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    return {
        "description": "  \n".join(lines),
        "headers": {**REQUEST_ID, **headers},
        "content": {MEDIA_TYPE.decode(): {"schema": ref("ProblemDocument"), "examples": examples}},
    }
