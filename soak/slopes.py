"""How steeply something grows, and how sure that is.

The slope is Theil and Sen's: the median of the slopes between all pairs of points. Up to a quarter of the
points may be anything at all without moving it far, so neither single peaks nor the saw-teeth of a garbage
collector count; and unlike a mean of differences it does not hang on the first and last point. Pairs are made
within a segment only: what starts anew, as a process after a restart, makes no slope with what was before.

How sure it is comes from a moving-block bootstrap: what is left over beside the line is put together anew in
blocks, which keeps what belongs together in time, saw-teeth above all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

#: More points than this are brought together first: medians of equal stretches of time.
POINTS: Final = 96
#: A line through fewer says nothing.
LEAST_POINTS: Final = 6
_REPEATS: Final = 300
#: Of a slope that is judged to lie above its limit, one in two hundred does not.
_TAIL_PERCENT: Final = 0.5


class Slope(NamedTuple):
    """A line through points.

    Attributes:
        per_unit: its slope, per unit of x.
        low, high: between which the slope lies, surely (99 of 100).
        recent: the slope of the later half: what has come to rest is flat there.
        recent_low: the lower bound of that.
        level: where the first line begins: what was usual before it grew.
        span: how much of x was seen, what lies between segments left out.
        lines: for drawing, (x, y) of the ends of each segment's line.
    """

    per_unit: float
    low: float
    high: float
    recent: float
    recent_low: float
    level: float
    span: float
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]]

    @property
    def lasting(self) -> float:
        """The slope of what goes on growing to the end: the lower of the whole's and the later half's."""
        return min(self.per_unit, self.recent)

    @property
    def surely(self) -> float:
        """What the lasting slope is at least."""
        return min(self.low, self.recent_low)


def slope_of(segments: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Slope | None:
    """The slope that all segments share; None where there are too few points.

    Args:
        segments: x and y of each, x in ascending order. Each may lie on a level of its own.
    """
    arrays = [(np.asarray(x, float), np.asarray(y, float)) for x, y in segments if len(x) > 1]
    span = float(sum(x[-1] - x[0] for x, _ in arrays))
    if span <= 0:
        return None
    binned = [_binned(x, y, span) for x, y in arrays]
    binned = [(x, y) for x, y in binned if len(x) > 1]
    if sum(len(x) for x, _ in binned) < LEAST_POINTS:
        return None
    slope, low, high = _estimated(binned)
    later = _later_half(binned)
    recent, recent_low, _ = _estimated(later) if later else (slope, low, high)
    lines = [_line(x, y, slope) for x, y in binned]
    return Slope(slope, low, high, recent, recent_low, lines[0][0][1], span, lines)


def _binned(x: _Floats, y: _Floats, span: float) -> tuple[_Floats, _Floats]:
    """Medians of stretches of x, so that all segments together have about ``POINTS``."""
    width = span / POINTS
    places = ((x - x[0]) / width).astype(int)
    if len(np.unique(places)) == len(x):
        return x, y
    groups = [np.flatnonzero(places == place) for place in np.unique(places)]
    return (
        np.array([x[group].mean() for group in groups]),
        np.array([float(np.median(y[group])) for group in groups]),
    )


def _later_half(segments: list[tuple[_Floats, _Floats]]) -> list[tuple[_Floats, _Floats]]:
    """The points behind the middle one; nothing where they are too few for a line of their own."""
    skipped = sum(len(x) for x, _ in segments) // 2
    later = []
    for x, y in segments:
        begin = min(skipped, len(x))
        skipped -= begin
        if len(x) - begin > 1:
            later.append((x[begin:], y[begin:]))
    return later if sum(len(x) for x, _ in later) >= LEAST_POINTS else []


def _estimated(segments: list[tuple[_Floats, _Floats]]) -> tuple[float, float, float]:
    """Slope, and the bounds between which it lies."""
    pairs = [np.triu_indices(len(x), 1) for x, _ in segments]
    runs = [x[j] - x[i] for (x, _), (i, j) in zip(segments, pairs, strict=True)]
    rises = [y[j] - y[i] for (_, y), (i, j) in zip(segments, pairs, strict=True)]
    slope = float(np.median(np.concatenate(rises) / np.concatenate(runs)))
    random = np.random.default_rng(20261125)
    repeated = []
    for (x, y), (i, j), run in zip(segments, pairs, runs, strict=True):
        left = y - slope * x
        left = left - np.median(left)
        drawn = left[_blocks(random, len(x))]
        repeated.append((drawn[:, j] - drawn[:, i]) / run)
    around = np.median(np.concatenate(repeated, axis=1), axis=1)
    low, high = np.percentile(around, [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    return slope, slope + float(low), slope + float(high)


def _blocks(random: np.random.Generator, count: int) -> npt.NDArray[Any]:
    """Places of points, drawn anew in blocks that follow each other round: one row a repeat."""
    length = max(1, round(count**0.5))
    starts = random.integers(0, count, size=(_REPEATS, -(-count // length)))
    places = (starts[:, :, None] + np.arange(length)) % count
    return places.reshape(_REPEATS, -1)[:, :count]


def _line(x: _Floats, y: _Floats, slope: float) -> tuple[tuple[float, float], tuple[float, float]]:
    at = float(np.median(y - slope * x))
    first, last = float(x[0]), float(x[-1])
    return (first, at + slope * first), (last, at + slope * last)
