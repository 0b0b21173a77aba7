"""Counts the lines of a body that arrives in pieces, cut anywhere."""

from __future__ import annotations


class LineCounter:
    """Counts lines that hold more than white space, each with the piece that has its first visible byte."""

    __slots__ = ("_inside",)

    def __init__(self) -> None:
        self._inside = False

    def feed(self, piece: bytes) -> int:
        """How many lines begin in the next piece of the body."""
        *ended, last = piece.split(b"\n")
        if not ended:
            begins = not self._inside and bool(last.strip())
            self._inside = self._inside or begins
            return int(begins)
        count = sum(1 for line in ended if line.strip()) + bool(last.strip())
        if self._inside and ended[0].strip():
            count -= 1  # the rest of a line that was counted
        self._inside = bool(last.strip())
        return count
