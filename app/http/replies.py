"""Whole answers, with the headers that all of them have."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.types import Send

from app.http.context import Context
from app.http.problems import MEDIA_TYPE, Headers, ProblemError

_encode = msgspec.json.Encoder().encode

_JSON: Final = b"application/json"
_NOT_MODIFIED: Final = 304
#: What an answer says unless it says something else under the same name.
_SAFETY: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Reply(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: Headers = ()
    media_type: bytes = _JSON


def json_reply(status: int, value: object, headers: Headers = ()) -> Reply:
    """An answer with a JSON body."""
    return Reply(status, _encode(value), headers)


async def send_reply(send: Send, context: Context, reply: Reply) -> None:
    """Send an answer."""
    body = reply.body
    own = {name for name, _ in reply.headers}
    headers = [
        (b"x-request-id", context.request_id),
        *(header for header in _SAFETY if header[0] not in own),
        *reply.headers,
    ]
    if reply.status != _NOT_MODIFIED:  # it has no body of its own, whose type and length it could tell
        headers += ((b"content-type", reply.media_type), (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, context: Context, problem: ProblemError) -> None:
    """Send an error."""
    body = _encode(problem.document(context.request_id.decode()))
    await send_reply(send, context, Reply(problem.status, body, problem.headers, MEDIA_TYPE))
