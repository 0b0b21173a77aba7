"""What is concluded from the changes of launches."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.comparing.judging import interval_rank, judge, launch_change, suspicious


def _launches(chance: random.Random, count: int, shift: float, noise: float) -> list[float]:
    return [math.log1p(shift) + chance.gauss(0, noise) for _ in range(count)]


@given(seed=st.integers(0, 2**32))
def test_noise_is_never_slower(seed: int) -> None:
    """Launches of equal sides, 1.5 % apart, are never judged slower."""
    assert judge(_launches(random.Random(seed), 17, 0, 0.015)).verdict == "same"


@given(seed=st.integers(0, 2**32))
def test_a_tenth_is_slower(seed: int) -> None:
    """A slowdown of 10 % is judged slower through the same noise."""
    assert judge(_launches(random.Random(seed), 17, 0.10, 0.015)).verdict == "slower"


def test_stray_launches_do_not_count() -> None:
    """One launch of nine that goes astray, either way, changes nothing."""
    assert judge([0.0] * 8 + [0.5]).verdict == "same"
    assert judge([0.1] * 8 + [-0.5]).verdict == "slower"


def test_wide_intervals_conclude_nothing() -> None:
    """An interval from no change to 10 % and more is unclear, and measured again."""
    finding = judge([0.0, 0.0, 0.0, 0.05, 0.05, 0.12, 0.12, 0.12, 0.12])
    assert finding.verdict == "unclear"
    assert suspicious(finding)


def test_improvements_are_told() -> None:
    """Launches that are all quicker by more than the margin are faster, and no suspects."""
    finding = judge([-0.1] * 9)
    assert finding.verdict == "faster"
    assert not suspicious(finding)


@pytest.mark.parametrize(("count", "rank"), [(1, 0), (5, 0), (6, 0), (9, 1), (12, 2), (17, 4)])
def test_ranks_of_the_interval(count: int, rank: int) -> None:
    """The order statistics are those of tables for the median at 95 %."""
    assert interval_rank(count) == rank


def test_slices_are_paired() -> None:
    """Both sides slowed down together have not changed."""
    assert launch_change([1.0, 2.0, 9.0], [1.0, 2.0, 9.0]) == 0
    assert launch_change([1.0, 2.0, 9.0], [1.1, 2.2, 9.9]) == pytest.approx(math.log(1.1))
