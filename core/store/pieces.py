"""How many records to ask for at once, where each may be as large as a request's body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.records import Damage, Record

#: The first few tell how large the others may be.
FIRST: Final = 16
_MOST: Final = 512
_BYTES: Final = 4 << 20


def next_size(size: int, records: Sequence[Record | Damage]) -> int:
    """How many to ask for next, after ``size`` were asked for: about as many bytes as may come at once."""
    if not records:
        return size
    payloads = [record.payload or b"" for record in records if isinstance(record, Record)]
    seen = sum(map(len, payloads)) + len(records)
    return max(1, min(_MOST, 4 * size, _BYTES * len(records) // seen))
