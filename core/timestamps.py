"""Moments in text."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(milliseconds: int) -> str:
    """Milliseconds since the Unix epoch in RFC 3339, UTC, to the millisecond."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
