"""What may look wrong only because something happened beside the check; a second look decides.

Any number of doubts is kept, outside of memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

from core.history.chains import REVOKED, SEALED, sorting_key
from core.history.sorting import Sorter
from core.records import Entry

# A record, what happened to it, whether that is a doubt, and by whom, as an index.
_ITEM: Final = struct.Struct(">16ssBI")
_IS_EXPLAINED, _IS_DOUBT = 1, 0
#: Names that are kept in memory. Whoever has more revokers is not told all of them.
_MOST_NAMES: Final = 10_000


class Unlinked(NamedTuple):
    """A record that no entry says was sealed, or ``revoked``, by whom."""

    record: bytes
    step: bytes
    by: str


class UnlinkedDoubts:
    """Records that are without an entry, and entries that have come since."""

    def __init__(self) -> None:
        self._sorter = Sorter(_ITEM.size)
        self._names: dict[str, int] = {"": 0}
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._sorter.__exit__(*error)

    def add(self, doubt: Unlinked) -> None:
        """One more.

        Raises:
            OSError: it cannot be kept.
        """
        name = doubt.by
        if name not in self._names and len(self._names) >= _MOST_NAMES:
            name = ""
        index = self._names.setdefault(name, len(self._names))
        self._sorter.add(_ITEM.pack(doubt.record, doubt.step, _IS_DOUBT, index))
        self.count += 1

    def explain(self, entry: Entry) -> None:
        """An authentic entry says that something was sealed, or revoked.

        Raises:
            OSError: it cannot be kept.
        """
        try:
            record = sorting_key(entry.record_id)
        except ValueError:
            return
        step = SEALED if entry.step == "sealed" else REVOKED
        self._sorter.add(_ITEM.pack(record, step, _IS_EXPLAINED, 0))

    def left(self) -> Iterator[Unlinked]:
        """Those that nothing explains, from the newest record to the oldest; call it once."""
        names = list(self._names)
        explained: tuple[bytes, bytes] | None = None
        for packed in self._sorter.descending():
            record, step, kind, index = _ITEM.unpack(packed)
            # In descending order what explains a doubt stands before it.
            if kind == _IS_EXPLAINED:
                explained = record, step
            elif explained != (record, step):
                yield Unlinked(record, step, names[index])
