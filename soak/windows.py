"""Latencies and outcomes of ten seconds each, by operation and scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from hdrh.histogram import HdrHistogram

from soak.results import Operation, Window

WINDOW_SECONDS: Final = 10.0
#: One microsecond to ten minutes, three digits.
LOWEST: Final = 1
HIGHEST: Final = 600_000_000
DIGITS: Final = 3


class _Piece:
    """What is known of one window."""

    def __init__(self) -> None:
        self.histogram = HdrHistogram(LOWEST, HIGHEST, DIGITS)
        self.calls = 0
        self.records = 0
        self.refused = 0
        self.failures: Counter[str] = Counter()


class Windows:
    """Collects calls by when they were due, and gives windows out once no call can be added."""

    def __init__(self, begin: float, during: Callable[[float, float], str | None]) -> None:
        """Begin; ``during`` names the fault that was on in any part of some time."""
        self._begin = begin
        self._during = during
        self._pieces: dict[tuple[int, str, Operation], _Piece] = {}

    def answered(
        self, operation: Operation, scenario: str, due: float, ended: float, records: int = 0
    ) -> None:
        """Count a call that was answered as it should."""
        piece = self._piece(operation, scenario, due)
        microseconds = round((ended - due) * 1e6)
        piece.histogram.record_value(min(max(microseconds, LOWEST), HIGHEST))
        piece.calls += 1
        piece.records += records

    def refused(self, operation: Operation, scenario: str, due: float) -> None:
        """Count a refusal that had to be expected."""
        piece = self._piece(operation, scenario, due)
        piece.calls += 1
        piece.refused += 1

    def failed(self, operation: Operation, scenario: str, due: float, what: str) -> None:
        """Count a call that went wrong."""
        piece = self._piece(operation, scenario, due)
        piece.calls += 1
        piece.failures[what] += 1

    def take(self, until: float) -> Iterator[Window]:
        """The windows that were over by then; they are forgotten here."""
        for key in sorted(self._pieces):
            number, scenario, operation = key
            begin = self._begin + number * WINDOW_SECONDS
            end = begin + WINDOW_SECONDS
            if end > until:
                continue
            piece = self._pieces.pop(key)
            yield Window(
                begin=begin,
                seconds=WINDOW_SECONDS,
                operation=operation,
                scenario=scenario,
                histogram=piece.histogram.encode().decode("ascii"),
                calls=piece.calls,
                failures=dict(piece.failures),
                refused=piece.refused,
                during=self._during(begin, end),
                records=piece.records,
            )

    def _piece(self, operation: Operation, scenario: str, due: float) -> _Piece:
        key = (int((due - self._begin) // WINDOW_SECONDS), scenario, operation)
        if key not in self._pieces:
            self._pieces[key] = _Piece()
        return self._pieces[key]
