"""How many records to ask for at once, where each may be as large as a request's body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.records import Record

#: The first few tell how large the others may be.
FIRST: Final = 16
_MOST: Final = 512
_BYTES: Final = 4 << 20


def next_size(size: int, records: Sequence[Record]) -> int:
    """How many to ask for after these, the last ``size`` asked for: about so many bytes as may come at once."""
    if not records:
        return size
    seen = sum(len(record.payload or b"") + 1 for record in records)
    return max(1, min(_MOST, 4 * size, _BYTES * len(records) // seen))
