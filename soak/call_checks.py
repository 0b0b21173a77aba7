"""What is judged of calls: how long they took, whether that becomes more, and how many failed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from soak.evidence import Evidence
from soak.growth_checks import growth_check
from soak.histograms import Latencies, merged, quantile_ms
from soak.results import Check, Window
from soak.slopes import Slope, slope_of
from soak.thresholds import Enough, Failures, Latency, Profile, Thresholds

#: A point of a line through a quantile stands for so many calls at least: few move a median, many a tail.
CALLS_A_POINT: Final = {50.0: 30, 95.0: 60, 99.0: 100}
_QUANTILES: Final = {"p95": 95.0, "p99": 99.0}


def call_checks(evidence: Evidence, thresholds: Thresholds, profile: Profile) -> Iterator[Check]:
    """Every check of every operation that has thresholds, or that was called."""
    called = {window.operation for window in evidence.windows}
    for operation in sorted({*thresholds.latency, *called}):
        calm = evidence.calm(evidence.of(operation))
        if (latency := thresholds.latency.get(operation)) is not None:
            yield from _latency(operation, merged(calm), latency, thresholds.enough)
            yield from _drift(operation, calm, thresholds, profile)
        yield from _failures(operation, calm, thresholds.failures)
    yield _failures_in_faults(evidence, thresholds.failures)


def _latency(operation: str, histogram: Latencies, latency: Latency, enough: Enough) -> Iterator[Check]:
    answered = histogram.get_total_count()
    for quantile, percent in _QUANTILES.items():
        limit = float(getattr(latency, f"{quantile}_ms"))
        name = f"{quantile} {operation}"
        if answered < enough.calls:
            says = f"{answered} calls were answered; {enough.calls} are needed"
            yield Check(name, "inconclusive", None, limit, "ms", says)
            continue
        measured = quantile_ms(histogram, percent)
        says = f"{measured:,.4g} ms, of {answered:,} calls"
        yield Check(name, "pass" if measured <= limit else "fail", measured, limit, "ms", says)


class Drift(NamedTuple):
    """A quantile over time.

    Attributes:
        times: the middle of each piece of the run.
        values: the quantile of the calls in it, in milliseconds.
        slope: of the line through them, per second; None where they are too few.
    """

    times: Sequence[float]
    values: Sequence[float]
    slope: Slope | None


def drift(calm: Sequence[Window], percent: float) -> Drift:
    """A quantile over time, of pieces that have calls enough for it: one of ``CALLS_A_POINT``."""
    times: list[float] = []
    values: list[float] = []
    piece: list[Window] = []
    # Windows of several scenarios begin at one time, and no two points may stand there.
    for _, together in itertools.groupby(calm, lambda window: window.begin):
        piece.extend(together)
        answered = sum(one.calls - one.refused - sum(one.failures.values()) for one in piece)
        if answered >= CALLS_A_POINT[percent]:
            times.append((piece[0].begin + piece[-1].begin + piece[-1].seconds) / 2)
            values.append(quantile_ms(merged(piece), percent))
            piece = []
    return Drift(times, values, slope_of([(times, values)]))


def _drift(
    operation: str, calm: Sequence[Window], thresholds: Thresholds, profile: Profile
) -> Iterator[Check]:
    growth = thresholds.growth_of(profile)
    for percent, limit in ((50.0, growth.p50_ms), (99.0, growth.p99_ms)):
        slope = drift(calm, percent).slope
        # A few rare calls tell nothing of a minute; a long run has to have enough of each.
        if slope is not None or profile == "full":
            yield growth_check(f"p{percent:.0f} growth {operation}", slope, limit, growth.minutes, "ms")


def _failures(operation: str, calm: Sequence[Window], limits: Failures) -> Iterator[Check]:
    calls = sum(window.calls for window in calm)
    failed: dict[str, int] = {}
    for window in calm:
        for why, count in window.failures.items():
            failed[why] = failed.get(why, 0) + count
    reasons = ", ".join(f"{count:,} {why}" for why, count in sorted(failed.items()))
    yield _share(f"failures {operation}", sum(failed.values()), calls, limits.percent, reasons)
    modest = [window for window in calm if window.scenario not in limits.refused_on_purpose]
    if modest:
        refused, asked = sum(window.refused for window in modest), sum(window.calls for window in modest)
        yield _share(f"refused {operation}", refused, asked, limits.refused_percent, "")


def _failures_in_faults(evidence: Evidence, limits: Failures) -> Check:
    during = [window for window in evidence.windows if window.during is not None]
    calls = sum(window.calls for window in during)
    failed = sum(sum(window.failures.values()) for window in during)
    if not during:
        return Check("failures in faults", "pass", 0.0, limits.percent_in_faults, "%", "no call in a fault")
    return _share("failures in faults", failed, calls, limits.percent_in_faults, "")


def _share(name: str, count: int, calls: int, limit: float, more: str) -> Check:
    if not calls:
        return Check(name, "inconclusive", None, limit, "%", "no call was made")
    percent = 100 * count / calls
    says = f"{count:,} of {calls:,} calls" + (f": {more}" if more else "")
    return Check(name, "pass" if percent <= limit else "fail", percent, limit, "%", says)


def totals(evidence: Evidence) -> dict[str, dict[str, float]]:
    """What the calls of each operation came to. Quantiles, rate and refusals are of calm windows.

    Returns:
        For each operation: calls, failures, refused (of the whole run), records, and of calm windows calls a
        second (``rate``) and milliseconds (``p50``, ``p95``, ``p99``, ``max``), where there were any.
    """
    found: dict[str, dict[str, float]] = {}
    for operation in sorted({window.operation for window in evidence.windows}):
        windows = evidence.of(operation)
        calm = evidence.calm(windows)
        histogram = merged(calm)
        one = {
            "calls": float(sum(window.calls for window in windows)),
            "failures": float(sum(sum(window.failures.values()) for window in windows)),
            "refused": float(sum(window.refused for window in windows)),
            "records": float(sum(window.records for window in windows)),
        }
        if (seconds := _covered(calm)) > 0:
            one["rate"] = sum(window.calls for window in calm) / seconds
        if histogram.get_total_count():
            one |= {f"p{percent}": quantile_ms(histogram, percent) for percent in (50, 95, 99)}
            one["max"] = histogram.get_max_value() / 1000
        found[operation] = one
    return found


def _covered(windows: Sequence[Window]) -> float:
    """Seconds that windows cover, those of several scenarios at one time counted once."""
    return sum({window.begin: window.seconds for window in windows}.values())
