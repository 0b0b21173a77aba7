"""What a key ring tells about its keys."""

from __future__ import annotations

from typing import NamedTuple


class KeyInfo(NamedTuple):
    """A key of a ring, without its secret.

    Times are seconds since the Unix epoch; ``None`` means no bound.
    """

    key_id: int
    state: str
    not_before: float | None
    retire_at: float | None
