"""Bodies of several lines, each a JSON text of its own (``application/x-ndjson``)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, TypeVar

from app.http.bodies import BodyStream
from app.http.problems import ProblemError
from sigil_native import SealRequests, VerifyRequests

#: Lines that are kept, or judged, together. Each becomes a row of the store and a line of the audit log, for
#: which it must find room; see ``BatchPlaces``.
MOST_LINES: Final = 1000
#: Lines of a body that is worked on while it comes. It is in memory a piece at a time; what this bounds is
#: how long one request may go on.
MOST_STREAMED_LINES: Final = 100_000
#: Lines of such a body that are kept, or judged, together: few enough for usual rate limits, which must allow
#: all of them at once.
LINES_A_PIECE: Final = 100
#: Bytes of such a body that are read before anything is done with them.
PIECE_BYTES: Final = 64 << 10


_Requests = TypeVar("_Requests", bound=SealRequests | VerifyRequests)


def requests_of(body: bytes, kind: type[_Requests]) -> _Requests:
    """The lines of a body that are not blank.

    Raises:
        ProblemError: there is none, or there are more than ``MOST_LINES``.
    """
    requests = kind(body, most=MOST_LINES)
    if requests.end < len(body):
        raise too_many_lines(MOST_LINES)
    if not len(requests):
        raise empty_batch()
    return requests


async def whole_lines(body: BodyStream) -> AsyncGenerator[bytes, None]:
    """The lines of a body as they come, ``PIECE_BYTES`` of them or so at a time.

    Raises:
        ProblemError, ClientGoneError: see ``BodyStream.read``.
    """
    parts: list[bytes] = []
    while not body.ended:
        text = await body.read(PIECE_BYTES)
        end = len(text) if body.ended else text.rfind(b"\n") + 1
        if end:
            yield b"".join([*parts, text[:end]])
            parts = []
        parts.append(text[end:])
    if any(parts):
        yield b"".join(parts)


def too_many_lines(most: int) -> ProblemError:
    """The error for a batch beyond the limit."""
    return ProblemError("too_many_lines", f"a batch may have {most} lines that are not blank")


def empty_batch() -> ProblemError:
    """The error for a batch without a line."""
    return ProblemError("empty_batch", "a batch has a line or more that is not blank")
