"""Bodies of requests, bounded in bytes and in time."""

from __future__ import annotations

import re
import time
from typing import Final

import msgspec
from starlette.types import Message, Receive

from app.http.context import ClientGoneError, Context
from app.http.deadlines import DeadlinePassedError, Deadlines
from app.http.problems import ProblemError


class MediaType:
    """A media type that bodies may have.

    Attributes:
        name: as answers have it.
    """

    def __init__(self, name: bytes) -> None:
        self.name = name
        pattern = re.escape(name) + rb'(?:[ \t]*;[ \t]*charset="?utf-8"?)?'
        self._pattern = re.compile(pattern, re.IGNORECASE)

    def fits(self, content_type: bytes) -> bool:
        """Whether the header's value names this type, and no other character set than UTF-8."""
        return self._pattern.fullmatch(content_type) is not None


JSON: Final = MediaType(b"application/json")
#: JSON texts, a line each.
LINES: Final = MediaType(b"application/x-ndjson")


class BodyLimits(msgspec.Struct, frozen=True):
    """What a request's body may take: bytes, and seconds until its last one."""

    size: int
    seconds: float


def body_too_large(limit: int) -> ProblemError:
    """The error for a body beyond the limit."""
    return ProblemError("body_too_large", f"the body may have {limit} bytes")


class BodyReader:
    """Reads bodies within limits."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._deadlines = Deadlines(limits.seconds)

    async def text(self, context: Context, media_type: MediaType) -> bytes:
        """The bytes of a body of this type, never more than the limit of them held.

        Raises:
            ProblemError: another type, too large, or too slow.
            ClientGoneError: the client went away.
        """
        if not media_type.fits(context.head.content_type):
            detail = f"the content type must be {media_type.name.decode()}"
            raise ProblemError("unsupported_media_type", detail)
        if context.head.content_encoding not in {b"", b"identity"}:
            raise ProblemError("unsupported_media_type", "the body must not be compressed")
        begun = time.perf_counter()
        try:
            with self._deadlines.watch():
                return await _body(context.receive, self._limits.size)
        except DeadlinePassedError:
            # Nobody knows where the next request would begin.
            headers = ((b"connection", b"close"),)
            detail = f"the body must arrive within {self._limits.seconds} seconds"
            raise ProblemError("body_timeout", detail, headers=headers) from None
        finally:
            context.body_seconds = time.perf_counter() - begun


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
