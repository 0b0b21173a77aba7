"""The pictures of a run: latencies, rates, failures, resources with their slopes, and the load's lateness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from soak.call_checks import drift
from soak.evidence import Evidence
from soak.growth_checks import RESOURCES, database_points, resource_slope
from soak.histograms import merged
from soak.plots import COLOURS, Canvas
from soak.results import Window
from soak.slopes import slope_of

_PIECES: Final = 240
_MIB: Final = 1 << 20
_PERCENTS: Final = (50.0, 95.0, 99.0)
#: Where a percentile plot has its points: 0, 90, 99, 99.9 … per cent, and between.
_TICKS: Final = 5


def call_pictures(evidence: Evidence) -> Iterator[str]:
    """Latencies, rates, failures and the distribution."""
    operations = sorted({window.operation for window in evidence.windows})
    for operation in operations:
        windows = _thinned(evidence.of(operation))
        canvas = Canvas(evidence, f"Latency of {operation}", "ms", small=True)
        for percent in _PERCENTS:
            times, values, _ = drift(windows, percent)
            if times:
                canvas.line(times, values, f"p{percent:g}")
        canvas.logarithmic()
        canvas.bands()
        yield canvas.svg()


def course_pictures(evidence: Evidence) -> Iterator[str]:
    """Rates, failures and refusals of all operations, all latencies, and the load's lateness."""
    operations = sorted({window.operation for window in evidence.windows})
    rates = Canvas(evidence, "Calls a second", "1/s")
    failures = Canvas(evidence, "Failed and refused calls", "1/s")
    for index, operation in enumerate(operations):
        windows = evidence.of(operation)
        colour = COLOURS[index % len(COLOURS)]
        times, calls = _a_second(windows, lambda one: one.calls)
        rates.line(times, calls, operation, color=colour)
        _, failed = _a_second(windows, lambda one: sum(one.failures.values()))
        _, refused = _a_second(windows, lambda one: one.refused)
        if any(failed):
            failures.line(times, failed, f"{operation} failed", color=colour)
        if any(refused):
            failures.line(times, refused, f"{operation} refused", color=colour, linestyle="--")
    for canvas in (rates, failures):
        canvas.axes.set_ylim(bottom=0)
        canvas.bands()
        yield canvas.svg()
    yield _distribution(evidence, operations)
    late = [(one.at, 1000 * one.lag_seconds) for one in evidence.samples if one.lag_seconds is not None]
    canvas = Canvas(evidence, "How late the load was", "ms")
    canvas.line(
        [at for at, _ in late], [lag for _, lag in late], "worst since the last sample", marker=".", ms=3
    )
    canvas.bands()
    yield canvas.svg()


def _distribution(evidence: Evidence, operations: Sequence[str]) -> str:
    """Latency over how rare it is: each tick is ten times rarer than the one before."""
    canvas = Canvas(evidence, "Latencies outside of faults, by how rare they are", "ms")
    for operation in operations:
        latencies = merged(evidence.calm(evidence.of(operation)))
        count = latencies.get_total_count()
        rarities = [
            10 ** (step / 10) for step in range(_TICKS * 10 + 1) if 10 ** (step / 10) <= max(count, 1)
        ]
        values = [latencies.get_value_at_percentile(100 - 100 / rarity) / 1000 for rarity in rarities]
        if count:
            canvas.axes.plot(rarities, values, label=operation)
    canvas.axes.set_xscale("log")
    canvas.logarithmic()
    ticks = [10**power for power in range(_TICKS + 1)]
    canvas.axes.set_xticks(ticks, ["0 %", *(f"{100 - 100 / tick:.6g} %" for tick in ticks[1:])])
    return canvas.svg()


def resource_pictures(evidence: Evidence) -> Iterator[str]:
    """What each process used, with the slope that is judged."""
    names = {
        "resident_mib": ("memory", "MiB"),
        "descriptors": ("descriptors", ""),
        "threads": ("threads", ""),
    }
    judged = evidence.judged()
    for process, samples in evidence.processes().items():
        for resource, measure in RESOURCES.items():
            name, unit = names[resource]
            canvas = Canvas(evidence, f"{process}: {name}", unit, small=True)
            canvas.line([one.at for one in samples], [measure(one) for one in samples], "")
            slope = resource_slope(evidence, samples, resource) if process in judged else None
            for number, (first, last) in enumerate(slope.lines if slope else ()):
                label = f"{slope.per_unit * 3600:+.3g} {unit}/h" if slope and not number else ""
                canvas.line([first[0], last[0]], [first[1], last[1]], label, color=COLOURS[1], linestyle="--")
            canvas.bands()
            yield canvas.svg()
        records, sizes = database_points(evidence, samples)
        if sizes:
            canvas = Canvas(evidence, f"{process}: database", "MiB", small=True)
            canvas.axes.plot(records, [size / _MIB for size in sizes])
            fitted = slope_of([(records, sizes)])
            for first, last in fitted.lines if fitted else ():
                canvas.axes.plot(
                    [first[0], last[0]],
                    [first[1] / _MIB, last[1] / _MIB],
                    linestyle="--",
                    label=f"{fitted.per_unit:,.0f} bytes a record" if fitted else "",
                )
            canvas.axes.set_xlabel("records made")
            yield canvas.svg()


def _thinned(windows: Sequence[Window]) -> Sequence[Window]:
    """Every so many of them, where there are more than a picture can show."""
    return windows[:: max(1, len(windows) // _PIECES)]


def _a_second(windows: Sequence[Window], count: Callable[[Window], int]) -> tuple[list[float], list[float]]:
    """Counts a second, those of several scenarios at one time together."""
    found: dict[float, float] = {}
    for window in windows:
        found[window.begin] = found.get(window.begin, 0.0) + count(window) / window.seconds
    return list(found), list(found.values())
