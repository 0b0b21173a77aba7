"""When a count is beyond the tolerance, and when nothing is said of it."""

from __future__ import annotations

import pytest

from benchmarks.profiling.counts import Count, Counts, Level
from benchmarks.profiling.judging import Verdict, compare, judge
from benchmarks.profiling.toolchain import differences


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (Count(1000, 800), "same"),
        (Count(1029, 824), "same"),
        (Count(1031, 831), "more"),
        (Count(969, 769), "less"),
        # Besides SHA-256: 200 have become 210, 196 and 190.
        (Count(1010, 800), "more"),
        (Count(996, 800), "same"),
        (Count(990, 800), "less"),
        # One part is cheaper, the other dearer: what is dearer counts.
        (Count(900, 690), "more"),
    ],
)
def test_verdicts(now: Count, verdict: Verdict) -> None:
    """A count is judged as a whole and besides SHA-256, in both directions."""
    assert judge(now, Count(1000, 800), 3.0)[2] == verdict


def test_little_besides_hashing_is_not_judged_by_itself() -> None:
    """Where nearly all is SHA-256, a tenth more of the rest is within the tolerance of the whole."""
    assert judge(Count(1001, 990), Count(1000, 990), 3.0)[2] == "same"


def _counts(operation: str, kernel: str = "portable") -> Counts:
    return Counts({}, {"avx2": Level(kernel, {operation: Count(10, 0)})})


@pytest.mark.parametrize(
    ("baseline", "verdict"),
    [
        (_counts("a"), "same"),
        (_counts("b"), "new"),
        (_counts("a", "sha-ni"), "not compared"),
        (Counts({}, {}), "not compared"),
        (None, "not compared"),
    ],
)
def test_what_can_be_compared(baseline: Counts | None, verdict: Verdict) -> None:
    """Only the same operation with the same kernels is compared; one that is missing there is new."""
    (result,) = compare(_counts("a"), baseline, 3.0)
    assert result.verdict == verdict


def test_another_toolchain_is_named() -> None:
    """Each part of a toolchain that differs is told, those that are missing on a side too."""
    assert differences({"python": "3.11"}, {"python": "3.11"}) == []
    assert differences({"python": "3.11", "libc": "2"}, {"python": "3.12", "valgrind": "3"}) == [
        "python: 3.11, in the baseline 3.12",
        "libc: 2, in the baseline none",
        "valgrind: none, in the baseline 3",
    ]
