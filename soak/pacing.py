"""When calls should begin: at a constant pace, whatever becomes of those before."""

from __future__ import annotations

import math


class Pacing:
    """The intended starts of one caller: ``first``, and one more each ``pace`` seconds before ``end``.

    A caller that is held up finds several that are due, and makes up for them: each is taken, or is counted
    as missed at the end. Times are of any clock, in seconds.
    """

    def __init__(self, first: float, pace: float, end: float) -> None:
        self._first = first
        self._pace = pace
        self._count = max(0, math.ceil((end - first) / pace))
        self._taken = 0

    @property
    def due(self) -> float:
        """When the next call should begin; endless if there is none."""
        return self._first + self._taken * self._pace if self._taken < self._count else math.inf

    def take(self) -> float:
        """When the call that begins now should have begun."""
        due = self.due
        self._taken += 1
        return due

    @property
    def missed(self) -> list[float]:
        """When the calls should have begun that nobody has taken."""
        return [self._first + number * self._pace for number in range(self._taken, self._count)]


def firsts(begin: float, pace: float, callers: int) -> list[float]:
    """When the callers' first calls should begin: spread evenly over one pace, so that none come together."""
    return [begin + pace * number / callers for number in range(callers)]
