"""Slopes, whatever lies on them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from soak.slopes import slope_of

TIMES = np.arange(0.0, 3600, 60)
few = settings(max_examples=max(8, settings.default.max_examples // 10 if settings.default else 8))


@few
@given(slope=st.floats(-5, 5), level=st.floats(0, 1e4), seed=st.integers(0, 2**32 - 1))
def test_within_bounds(slope: float, level: float, seed: int) -> None:
    """The true slope is found through noise, whatever the level."""
    values = level + slope * TIMES / 60 + np.random.default_rng(seed).normal(0, 1, len(TIMES))
    found = slope_of([(list(TIMES), list(values))])
    assert found is not None
    assert found.low <= found.per_unit <= found.high
    assert abs(found.per_unit * 60 - slope) < 0.2


@few
@given(step=st.floats(-1000, 1000), at=st.integers(0, len(TIMES)))
def test_steps_do_not_last(step: float, at: int) -> None:
    """One step, wherever it is, is no slope that surely lasts."""
    values = np.where(np.arange(len(TIMES)) < at, 0.0, step)
    found = slope_of([(list(TIMES), list(values))])
    assert found is not None
    assert found.surely <= 1e-9


@few
@given(levels=st.lists(st.floats(0, 1e6), min_size=2, max_size=4))
def test_restarts_make_no_slope(levels: list[float]) -> None:
    """Segments that are flat, each on a level of its own, have no slope together."""
    segments = [(list(TIMES + 3600 * number), [level] * len(TIMES)) for number, level in enumerate(levels)]
    found = slope_of(segments)
    assert found is not None
    assert found.per_unit == 0


def test_too_few_points() -> None:
    """Of a few points, or of none that lie apart, no slope is told."""
    assert slope_of([]) is None
    assert slope_of([([1.0], [1.0])]) is None
    assert slope_of([([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])]) is None
    assert slope_of([([1.0] * 9, [1.0] * 9)]) is None
