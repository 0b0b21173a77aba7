"""Moments in text."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

#: The first and the last millisecond that have a text: of the years 1 and 9999.
_FIRST: Final = -62_135_596_800_000
_LAST: Final = 253_402_300_799_999


def has_timestamp(milliseconds: int) -> bool:
    """Whether a moment can be told in text."""
    return _FIRST <= milliseconds <= _LAST


def timestamp(milliseconds: int) -> str:
    """Milliseconds since the Unix epoch in RFC 3339, UTC, to the millisecond.

    What lies beyond the year 9999 is told as its last moment: RFC 3339 (section 1) has no text for more.
    """
    second, thousandths = divmod(min(milliseconds, _LAST), 1000)
    return f"{_second(second)}.{thousandths:03}Z"


@lru_cache(maxsize=64)  # most are of the second that runs
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).replace(tzinfo=None).isoformat()
