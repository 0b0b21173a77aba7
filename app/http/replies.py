"""Whole answers, with the headers that all of them have."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.types import Send

from app.http.context import ANSWER, Context
from app.http.problems import MEDIA_TYPE, Headers, ProblemError

_encode = msgspec.json.Encoder().encode

_JSON: Final = b"application/json"
_NOT_MODIFIED: Final = 304
#: What an answer says unless it says something else under the same name. These keep browsers from doing
#: anything with it but showing it to who asked.
SAFETY: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


#: On answers from what this host knows while the store is away.
_STALE: Final[Headers] = ((b"sigil-stale", b"true"),)


def stale_header(stale: bool) -> Headers:
    """The header of an answer that may be overtaken, or of another, which has none."""
    return _STALE if stale else ()


class Reply(msgspec.Struct, frozen=True):
    """A whole answer. Its headers replace those of the same name that all answers have."""

    status: int
    body: bytes
    headers: Headers = ()
    media_type: bytes = _JSON


def json_reply(status: int, value: object, headers: Headers = ()) -> Reply:
    """An answer with a JSON body."""
    return Reply(status, _encode(value), headers)


def headers_of(context: Context, own: Headers) -> list[tuple[bytes, bytes]]:
    """The headers of an answer: its own, and those that all answers have, unless its own replace them."""
    common = context.common_headers
    if own:
        names = {name for name, _ in own}
        common = [header for header in common if header[0] not in names]
    return [(b"x-request-id", context.request_id), *common, *context.rate_headers, *own]


def _headers_of_reply(context: Context, reply: Reply) -> Headers:
    headers = headers_of(context, reply.headers)
    if reply.status != _NOT_MODIFIED:  # it has no body of its own, whose type and length it could tell
        headers += ((b"content-type", reply.media_type), (b"content-length", b"%d" % len(reply.body)))
    return headers


def lines_of(headers: Headers) -> bytes:
    """Headers as they stand on the wire.

    Raises:
        ValueError: a header would end its line, or be cut short.
    """
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    # Whatever a caller may have brought into one of them: RFC 9110 §5.5.
    if not lines.count(b"\r") == lines.count(b"\n") == len(headers) or b"\0" in lines:
        raise ValueError("a header is malformed")
    return lines


def wire_lines(context: Context, reply: Reply) -> bytes:
    """All headers of an answer as they stand on the wire."""
    return lines_of(_headers_of_reply(context, reply))


async def send_reply(send: Send, context: Context, reply: Reply) -> None:
    """Send an answer: in one piece where the server can take it, otherwise as ASGI's messages."""
    body = reply.body
    headers = _headers_of_reply(context, reply)
    context.answer_with(reply.status)
    answer = context.scope.get("extensions", {}).get(ANSWER)
    if answer is not None:
        await answer(reply.status, headers, body)
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def problem_reply(context: Context, problem: ProblemError) -> Reply:
    """The answer that an error is."""
    body = _encode(problem.document(context.request_id.decode()))
    return Reply(problem.status, body, problem.headers, MEDIA_TYPE)


async def send_problem(send: Send, context: Context, problem: ProblemError) -> None:
    """Send an error."""
    await send_reply(send, context, problem_reply(context, problem))
