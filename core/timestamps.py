"""Moments in text."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def timestamp(milliseconds: int) -> str:
    """Milliseconds since the Unix epoch in RFC 3339, UTC, to the millisecond."""
    second, thousandths = divmod(milliseconds, 1000)
    return f"{_second(second)}.{thousandths:03}Z"


@lru_cache(maxsize=64)  # most are of the second that runs
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).replace(tzinfo=None).isoformat()
