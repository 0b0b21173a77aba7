"""Sorting more than fits into memory."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterator
from typing import IO, Final, Self

#: Items that are sorted at once.
_RUN: Final = 200_000
#: Items of a run that are read at once.
_BLOCK: Final = 2000


class Sorter:
    """Takes byte strings of one length, in any order, and gives them back in descending order.

    Beyond a bound it keeps them in temporary files without a name, in the folder that TMPDIR says.
    """

    def __init__(self, size: int, *, run: int = _RUN) -> None:
        """Prepare for items of ``size`` bytes."""
        self._size = size
        self._run = run
        self._items: list[bytes] = []
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, item: bytes) -> None:
        """One more.

        Raises:
            OSError: it cannot be kept.
        """
        self._items.append(item)
        if len(self._items) >= self._run:
            self._items.sort(reverse=True)
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the sorter
            self._files.append(file)
            file.write(b"".join(self._items))
            self._items = []

    def descending(self) -> Iterator[bytes]:
        """All of them; call it once."""
        self._items.sort(reverse=True)
        return heapq.merge(*map(self._read, self._files), self._items, reverse=True)

    def _read(self, file: IO[bytes]) -> Iterator[bytes]:
        file.seek(0)
        size = self._size
        while block := file.read(_BLOCK * size):
            for first in range(0, len(block), size):
                yield block[first : first + size]
