"""Compares two runs: how much each count has changed, and whether that is beyond the tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from benchmarks.profiling.counts import Count, Counts

Verdict = Literal["same", "more", "less", "new", "not compared"]
#: Per cent. Counts of the same code differ by a tenth, and by up to 2 % between checkouts: paths of other
#: lengths put memory elsewhere, which malloc and memcpy notice.
TOLERANCE: Final = 3.0
#: Of an operation's instructions. Where the rest besides SHA-256 is less, it is not judged by itself.
_WORTH: Final = 0.02


class Result(NamedTuple):
    """An operation at a level.

    Attributes:
        change: per cent of the baseline's instructions, none without a baseline.
        change_besides: the same without the SHA-256 kernel's instructions.
    """

    level: str
    operation: str
    now: Count
    baseline: Count | None
    change: float | None
    change_besides: float | None
    verdict: Verdict


def _change(now: float, before: float) -> float | None:
    return (now / before - 1) * 100 if before > 0 else None


def _verdict(changes: list[float | None], tolerance: float) -> Verdict:
    known = [change for change in changes if change is not None]
    if any(change > tolerance for change in known):
        return "more"
    if any(change < -tolerance for change in known):
        return "less"
    return "same"


def judge(now: Count, before: Count, tolerance: float) -> tuple[float | None, float | None, Verdict]:
    """How a count has changed, with SHA-256 and without, and the verdict.

    Most of an encode is SHA-256, and under valgrind by the slowest kernel, which a real processor would not
    use. So what is besides it is judged too; otherwise it could grow by a tenth unseen.
    """
    change, besides = _change(now.instructions, before.instructions), _change(now.besides, before.besides)
    judged = besides if before.besides > _WORTH * before.instructions else None
    return change, besides, _verdict([change, judged], tolerance)


def compare(now: Counts, baseline: Counts | None, tolerance: float) -> Iterator[Result]:
    """Every operation of ``now``, level by level.

    Args:
        now: what was counted.
        baseline: none where counts cannot be compared.
        tolerance: per cent.
    """
    for name, level in now.levels.items():
        there = baseline.levels.get(name) if baseline else None
        if there is not None and there.kernel != level.kernel:
            there = None
        for operation, count in level.operations.items():
            before = there.operations.get(operation) if there else None
            if before is None:
                verdict: Verdict = "new" if there else "not compared"
                yield Result(name, operation, count, None, None, None, verdict)
            else:
                yield Result(name, operation, count, before, *judge(count, before, tolerance))
