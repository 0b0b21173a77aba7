"""What is judged of what grows: memory, descriptors and threads, and the database's bytes a record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from soak.evidence import Evidence
from soak.results import Check, Sample
from soak.slopes import Slope, slope_of
from soak.thresholds import Limit, Profile, Thresholds

_HOUR: Final = 3600.0
_MIB: Final = 1 << 20

#: What is measured of a process, in the unit that it is judged in.
RESOURCES: Final[dict[str, Callable[[Sample], float]]] = {
    "resident_mib": lambda sample: sample.resident_bytes / _MIB,
    "descriptors": lambda sample: float(sample.descriptors),
    "threads": lambda sample: float(sample.threads),
}
_NAMES: Final = {
    "resident_mib": ("memory", "MiB"),
    "descriptors": ("descriptors", ""),
    "threads": ("threads", ""),
}


def growth_checks(evidence: Evidence, thresholds: Thresholds, profile: Profile) -> Iterator[Check]:
    """Every check of every process of the product."""
    growth = thresholds.growth_of(profile)
    judged = evidence.judged()
    if not judged:
        yield Check("processes", "inconclusive", None, None, "", "no process of the service was sampled")
    for process, samples in judged.items():
        for resource in RESOURCES:
            name, unit = _NAMES[resource]
            slope = resource_slope(evidence, samples, resource)
            limit = getattr(growth, resource)
            yield growth_check(f"{name} {process}", slope, limit, growth.minutes, unit)
    yield from _database(evidence, thresholds)


def resource_slope(evidence: Evidence, samples: Sequence[Sample], resource: str) -> Slope | None:
    """How a process's use of something grows, per second."""
    measure = RESOURCES[resource]
    lives = evidence.lives(samples)
    return slope_of([([one.at for one in life], [measure(one) for one in life]) for life in lives])


def growth_check(name: str, slope: Slope | None, limit: Limit, minutes: float, unit: str) -> Check:
    """The check of one slope; ``minutes`` are the least that it may be told from.

    It fails where it surely lies above its limit, over the whole time and over its later half: a step, and
    what fills up and comes to rest, do not last. It is inconclusive where it may lie on either side.
    """
    rate = f"{unit}/h"
    if slope is None or slope.span < minutes * 60:
        seen = 0.0 if slope is None else slope.span / 60
        says = f"measured for {seen:.1f} minutes; {minutes:g} are needed"
        return Check(name, "inconclusive", None, limit.per_hour, rate, says)
    allowed = limit.at(slope.level, slope.span)
    lasting, surely = slope.lasting * _HOUR, slope.surely * _HOUR
    outcome = _outcome(lasting, surely, allowed)
    low, high, recent = slope.low * _HOUR, slope.high * _HOUR, slope.recent * _HOUR
    says = (
        f"{slope.per_unit * _HOUR:+,.4g} an hour (surely {low:+,.4g} to {high:+,.4g}), "
        f"{recent:+,.4g} in the later half, from {slope.level:,.4g} {unit}"
    ).rstrip()
    return Check(name, outcome, lasting, allowed, rate, says)


def _outcome(lasting: float, surely: float, allowed: float) -> Literal["pass", "fail", "inconclusive"]:
    if lasting <= allowed:
        return "pass"
    return "fail" if surely > allowed else "inconclusive"


def database_points(evidence: Evidence, samples: Sequence[Sample]) -> tuple[list[float], list[float]]:
    """A process's database over records: how many had been made, and its bytes."""
    told = [(one.at, float(one.database_bytes)) for one in samples if one.database_bytes is not None]
    told = [(at, size) for at, size in told if at >= evidence.steady_from]
    return evidence.records_at([at for at, _ in told]), [size for _, size in told]


def _database(evidence: Evidence, thresholds: Thresholds) -> Iterator[Check]:
    """A database grows with its records; what is judged is how many bytes each of them brings.

    Where it is another process's database that records go to, they bring none to this one.
    """
    limit, unit = thresholds.database.bytes_per_record, "bytes/record"
    told = {name: database_points(evidence, samples) for name, samples in evidence.judged().items()}
    told = {name: points for name, points in told.items() if points[0]}
    if not told:
        yield Check("database", "inconclusive", None, limit, unit, "no database was measured")
    for process, (records, sizes) in told.items():
        name = f"database {process}"
        slope, made = slope_of([(records, sizes)]), records[-1] - records[0]
        if slope is None or made < thresholds.enough.records:
            says = f"{made:,.0f} records were made; {thresholds.enough.records:,} are needed"
            yield Check(name, "inconclusive", None, limit, unit, says)
            continue
        # A log that is written anew fills once, and then weighs on a part of the records: all share it here.
        grown = (sizes[-1] - sizes[0]) / made
        lasting, surely = min(slope.lasting, grown), min(slope.surely, grown)
        says = (
            f"{slope.per_unit:,.4g} bytes a record (surely {slope.low:,.4g} to {slope.high:,.4g}); "
            f"grown by {grown:,.4g} for each of {made:,.0f} records"
        )
        yield Check(name, _outcome(lasting, surely, limit), lasting, limit, unit, says)
