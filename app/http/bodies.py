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
        _check_type(context, media_type)
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

    def stream(self, context: Context, media_type: MediaType) -> BodyStream:
        """A body of this type, to be read a piece at a time.

        Raises:
            ProblemError: it is of another type.
        """
        _check_type(context, media_type)
        return BodyStream(context, self._limits, self._deadlines)


class BodyStream:
    """A body that is read no faster than it is worked on: what is not read yet waits with the client.

    Attributes:
        ended: whether all of it was read.
    """

    def __init__(self, context: Context, limits: BodyLimits, deadlines: Deadlines) -> None:
        self._context = context
        self._limits = limits
        self._deadlines = deadlines
        self._size = 0
        self.ended = False

    async def read(self, least: int) -> bytes:
        """The next piece: so many bytes, and what came together with the last of them; fewer at the end.

        Raises:
            ProblemError: the whole is too large by now, or this piece too slow.
            ClientGoneError: the client went away.
        """
        begun = time.perf_counter()
        parts: list[bytes] = []
        wanted = self._size + least
        try:
            with self._deadlines.watch():
                while not self.ended and self._size < wanted:
                    message = await self._context.receive()
                    parts.append(_part(message))
                    self._size += len(parts[-1])
                    self.ended = not message.get("more_body")
                    if self._size > self._limits.size:
                        raise body_too_large(self._limits.size)
        except DeadlinePassedError:
            detail = f"{least} bytes of the body must arrive within {self._limits.seconds} seconds"
            headers = ((b"connection", b"close"),)
            raise ProblemError("body_timeout", detail, headers=headers) from None
        finally:
            self._context.body_seconds += time.perf_counter() - begun
        return b"".join(parts)


def _check_type(context: Context, media_type: MediaType) -> None:
    if not media_type.fits(context.head.content_type):
        detail = f"the content type must be {media_type.name.decode()}"
        raise ProblemError("unsupported_media_type", detail)
    if context.head.content_encoding not in {b"", b"identity"}:
        raise ProblemError("unsupported_media_type", "the body must not be compressed")


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
