"""How rows are measured until something can be said: all in some launches, suspects again in more."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from benchmarks.comparing.judging import Finding, Verdict, judge, launch_change, suspicious
from benchmarks.comparing.launches import Measure, Slices

#: Of all rows. One that goes astray does not count: the interval is between the second and the second last.
LAUNCHES: Final = 9
#: Of suspects, which are judged by these alone.
CONFIRMING: Final = 17

OpenLaunch = Callable[[], AbstractContextManager[Measure]]
Step = Callable[[str], None]


class Result(NamedTuple):
    """A row at the end.

    Attributes:
        base: seconds an item, the median; None where there are none.
        head: likewise.
        finding: None where nothing was measured.
        launches: what it rests upon.
        detail: why it was not measured, or empty.
    """

    row: str
    verdict: Verdict
    base: float | None = None
    head: float | None = None
    finding: Finding | None = None
    launches: int = 0
    detail: str = ""


def _result(row: str, launches: Sequence[Slices], margin: float) -> Result:
    for slices in launches:
        if slices.head_error is not None:
            return Result(row, "broken", detail=slices.head_error)
        if slices.base_error is not None:
            return Result(row, "new", detail=slices.base_error)
    finding = judge([launch_change(slices.base, slices.head) for slices in launches], margin)
    base, head = (
        statistics.median(statistics.median(getattr(slices, side)) for slices in launches)
        for side in ("base", "head")
    )
    return Result(row, finding.verdict, base, head, finding, len(launches))


def _measured(
    open_launch: OpenLaunch,
    rows: Sequence[str],
    launches: int,
    slices: int,
    chance: random.Random,
    step: Step,
) -> dict[str, list[Slices]]:
    found: dict[str, list[Slices]] = {row: [] for row in rows}
    for _ in range(launches):
        with open_launch() as measure:
            for row in chance.sample(rows, len(rows)):
                step(row)
                found[row].append(measure(row, slices))
    return found


def compare(
    open_launch: OpenLaunch,
    rows: Sequence[str],
    *,
    slices: int,
    margin: float,
    chance: random.Random,
    step: Step = lambda _: None,
) -> list[Result]:
    """Measure rows on both sides and judge them.

    Args:
        open_launch: starts both sides' processes; each launch has memory laid out anew.
        rows: their names.
        slices: of each side, a row and launch.
        margin: the smallest change that counts, as a share.
        chance: orders rows and slices.
        step: told the row that comes next.
    """
    first = _measured(open_launch, rows, LAUNCHES, slices, chance, step)
    results = {row: _result(row, launches, margin) for row, launches in first.items()}
    suspects = [
        row for row, result in results.items() if result.finding and suspicious(result.finding, margin)
    ]
    again = _measured(open_launch, suspects, CONFIRMING, slices, chance, step) if suspects else {}
    results |= {row: _result(row, launches, margin) for row, launches in again.items()}
    return list(results.values())
