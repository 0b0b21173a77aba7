"""Bodies of several lines, each a JSON text of its own (``application/x-ndjson``)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from app.http.problems import ProblemError
from sigil_native import SealRequests

#: Lines that a body may have. Each becomes a row of the store and a line of the audit log, and those who wait
#: for these at the same time must find room.
MOST_LINES: Final = 1000

#: What makes a line more than a blank one.
_SOMETHING: Final = re.compile(rb"[^ \t\r\n]")


class Line(NamedTuple):
    """A line of a body, without its line feed.

    Attributes:
        number: its place in the body, blank lines included; the first is 1.
    """

    number: int
    text: bytes


def lines_of(body: bytes) -> list[Line]:
    """The lines of a body that are not blank; a carriage return before the line feed is white space.

    Raises:
        ProblemError: there is none, or there are more than ``MOST_LINES``.
    """
    found: list[Line] = []
    number, position = 1, 0
    while something := _SOMETHING.search(body, position):
        begin = something.start()
        number += body.count(b"\n", position, begin)
        # Offsets in a line count from its first byte, which may be a blank.
        first = body.rfind(b"\n", position, begin) + 1
        end = body.find(b"\n", begin)
        position = len(body) if end < 0 else end
        if len(found) == MOST_LINES:
            raise _too_many_lines()
        found.append(Line(number, body[first:position]))
    if not found:
        raise _empty_batch()
    return found


def requests_of(body: bytes) -> SealRequests:
    """The same lines, to be sealed.

    Raises:
        ProblemError: as above.
    """
    requests = SealRequests(body, most=MOST_LINES)
    if requests.end < len(body):
        raise _too_many_lines()
    if not len(requests):
        raise _empty_batch()
    return requests


def _too_many_lines() -> ProblemError:
    return ProblemError("too_many_lines", f"a batch may have {MOST_LINES} lines that are not blank")


def _empty_batch() -> ProblemError:
    return ProblemError("empty_batch", "a batch has a line or more that is not blank")
