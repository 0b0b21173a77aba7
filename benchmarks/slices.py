"""How a row is timed: slices of both sides in turn, each a benchmark of pytest-benchmark."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from benchmarks.rows import Row
from benchmarks.sides import Sides

TimeSlice = Callable[[], None]

#: Rounds that are timed before the other side has its turn, and how long they are.
ROUNDS: Final = 2
ROUND_SECONDS: Final = 0.01
#: Where ``--rounds`` asks for so many rounds, rows whose slices take seconds have one.
_ROUNDS_OF_A_LONG_ONE: Final = 8


class Slice(NamedTuple):
    """One side's turn."""

    row: Row
    turn: int
    side: str

    @property
    def identity(self) -> str:
        """What pytest calls it."""
        return f"{self.row.name} / {self.row.against}-{self.turn}-{self.side}"


def slices_of(row: Row, rounds: int) -> list[Slice]:
    """The slices of a row, in the order in which they are timed."""
    turns = {"many": max(1, rounds // ROUNDS), "few": max(2, rounds // _ROUNDS_OF_A_LONG_ONE), "one": 1}
    return [Slice(row, turn, side) for turn in range(turns[row.slices]) for side in row.sides]


class Stage:
    """Holds the sides of the row that is being timed, and lets go of them when the next one comes."""

    def __init__(self) -> None:
        self._row: Row | None = None
        self._sides: Sides | None = None
        self._calls: dict[str, int] = {}
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Put away what the last row needed."""
        self._row = None
        self._sides = None
        self._stack.close()

    def time(self, timed: Slice, benchmark: Any) -> None:
        """Time a slice with the fixture of pytest-benchmark, and note what it is a slice of."""
        sides = self._opened(timed.row)
        side = sides.named(timed.side)
        benchmark.group = f"{timed.row.name} / {timed.row.against}"
        noted = benchmark.extra_info
        noted.update(row=timed.row.name, against=timed.row.against, side=timed.side, items=side.items)
        if side.returns_figure:
            noted["figure"] = benchmark.pedantic(side.call)
            return
        if timed.side not in self._calls:
            side.call()
            start = time.perf_counter()
            side.call()
            spent = max(time.perf_counter() - start, 1e-9)
            self._calls[timed.side] = max(1, round(ROUND_SECONDS / spent))
        benchmark.pedantic(side.call, rounds=ROUNDS, iterations=self._calls[timed.side])

    def _opened(self, row: Row) -> Sides:
        if self._row is not row or self._sides is None:
            self.close()
            cores = os.sched_getaffinity(0)
            if not row.both_cores:
                self._stack.callback(os.sched_setaffinity, 0, cores)
                os.sched_setaffinity(0, {max(cores)})
            self._sides = self._stack.enter_context(row.open())
            self._row = row
            self._calls = {}
        return self._sides
