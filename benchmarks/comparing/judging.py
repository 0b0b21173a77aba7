"""What is concluded from a row's changes: nothing that holds for the noise of one launch alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Verdict = Literal["slower", "faster", "same", "unclear", "new", "broken"]

#: What a change must exceed to count, and what must be ruled out for a row to be the same.
MARGIN: Final = 0.04
SEEN: Final = 0.10
_CONFIDENCE: Final = 0.95


class Finding(NamedTuple):
    """A row's change from base to head, as a share of the base: 0.1 is a tenth slower.

    Attributes:
        low: where the interval of the median begins.
        high: where it ends.
    """

    change: float
    low: float
    high: float
    verdict: Verdict


def launch_change(base: Sequence[float], head: Sequence[float]) -> float:
    """The logarithm of head over base in one launch: the median over slices taken side by side.

    Args:
        base: seconds an item, slice by slice.
        head: likewise, each beside the base's of the same number.
    """
    return statistics.median(math.log(after / before) for before, after in zip(base, head, strict=True))


def interval_rank(count: int, confidence: float = _CONFIDENCE) -> int:
    """How many of the smallest and of the largest of ``count`` lie outside the interval of their median.

    The median lies between order statistics with a probability that depends on no distribution: each value is
    on either side of it as a coin falls.
    """
    outside, rank = 0.0, 0
    while rank < (count - 1) // 2:
        outside += math.comb(count, rank) / 2**count
        if outside > (1 - confidence) / 2:
            break
        rank += 1
    # One launch less than the confidence needs: all of them then, and less confidence.
    return max(0, rank - 1)


def judge(changes: Sequence[float], margin: float = MARGIN, seen: float = SEEN) -> Finding:
    """What a row's launches say together.

    Args:
        changes: a logarithm from each launch; see ``launch_change``.
        margin: slower or faster is what lies beyond it with the whole interval.
        seen: a slowdown that must not be missed; where the interval reaches so far, nothing is concluded.
    """
    ordered = sorted(changes)
    rank = interval_rank(len(ordered))
    middle = statistics.median(ordered)
    change, low, high = (math.expm1(value) for value in (middle, ordered[rank], ordered[-1 - rank]))
    verdict: Verdict
    if low > margin:
        verdict = "slower"
    elif high >= seen:
        verdict = "unclear"
    elif math.log1p(high) < -math.log1p(margin):
        verdict = "faster"
    else:
        verdict = "same"
    return Finding(change, low, high, verdict)


def suspicious(finding: Finding, margin: float = MARGIN) -> bool:
    """Whether the row is to be measured again, longer, before anything is concluded."""
    return finding.verdict in {"slower", "unclear"} or finding.change > margin
