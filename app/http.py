"""Requests and replies on the bare ASGI interface, without an object for each."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.types import Message, Receive, Scope, Send

from app.problems import MEDIA_TYPE, Headers, ProblemError

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_JSON: Final = re.compile(rb'application/json(?:[ \t]*;[ \t]*charset="?utf-8"?)?', re.IGNORECASE)
_encode = msgspec.json.Encoder().encode

_CONTEXT: Final = "sigil"
_CONTENT_JSON: Final = (b"content-type", b"application/json")
_CONTENT_PROBLEM: Final = (b"content-type", MEDIA_TYPE)
_SAFETY: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class Context:
    """What the service needs of a request's headers, gathered in one pass."""

    __slots__ = ("authorization", "content_encoding", "content_length", "content_type", "request_id")

    def __init__(self, scope: Scope) -> None:
        self.request_id = b""
        self.authorization: list[bytes] = []
        self.content_type = b""
        self.content_encoding = b""
        self.content_length = 0
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.authorization.append(value)
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                # The server has refused what is no number; more digits than these are too large anyway.
                self.content_length = int(value[:19]) if value.isdigit() else 0
            elif name == b"content-encoding":
                self.content_encoding = value
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value
        if not self.request_id:
            self.request_id = secrets.token_hex(16).encode()
        scope[_CONTEXT] = self

    @staticmethod
    def of(scope: Scope) -> Context:
        """The context that was made for this request."""
        context: Context = scope[_CONTEXT]
        return context


class BodyLimits(msgspec.Struct, frozen=True):
    """What a request's body may take: bytes, and seconds until its last one."""

    size: int
    seconds: float


class Reply(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: Headers = ()


Handler = Callable[[Scope, Receive], Awaitable[Reply]]


def json_reply(status: int, value: object, headers: Headers = ()) -> Reply:
    """An answer with a JSON body."""
    return Reply(status, _encode(value), headers)


async def send_reply(send: Send, context: Context, reply: Reply, *, problem: bool = False) -> None:
    """Send an answer, with the headers that all of them have."""
    body = reply.body
    headers = [
        _CONTENT_PROBLEM if problem else _CONTENT_JSON,
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", context.request_id),
        *_SAFETY,
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, context: Context, problem: ProblemError) -> None:
    """Send an error."""
    body = _encode(problem.document(context.request_id.decode()))
    await send_reply(send, context, Reply(problem.status, body, problem.headers), problem=True)


def body_too_large(limit: int) -> ProblemError:
    """The error for a body beyond the limit."""
    return ProblemError("body_too_large", f"the body may have {limit} bytes")


async def read_json_text(scope: Scope, receive: Receive, limits: BodyLimits) -> bytes:
    """The bytes of a JSON body, never more than the limit of them held.

    Raises:
        ProblemError: not application/json, too large, or too slow.
        ClientGoneError: the client went away.
    """
    context = Context.of(scope)
    if not _JSON.fullmatch(context.content_type):
        raise ProblemError("unsupported_media_type", "the content type must be application/json")
    if context.content_encoding not in {b"", b"identity"}:
        raise ProblemError("unsupported_media_type", "the body must not be compressed")
    try:
        async with asyncio.timeout(limits.seconds):
            return await _body(receive, limits.size)
    except TimeoutError:
        # Nobody knows where the next request would begin.
        headers = ((b"connection", b"close"),)
        detail = f"the body must arrive within {limits.seconds} seconds"
        raise ProblemError("body_timeout", detail, headers=headers) from None


async def _body(receive: Receive, limit: int) -> bytes:
    message = await receive()
    body = _part(message)
    if message.get("more_body"):
        parts = [body]
        size = len(body)
        while message.get("more_body") and size <= limit:
            message = await receive()
            parts.append(_part(message))
            size += len(parts[-1])
        body = b"".join(parts) if size <= limit else b""
        if size > limit:
            raise body_too_large(limit)
    elif len(body) > limit:
        raise body_too_large(limit)
    return body


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    part: bytes = message.get("body", b"")
    return part
