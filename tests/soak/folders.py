"""Results folders as a run leaves them, made up: a service that works, and what may be wrong with it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from monitoring import dashboard
from soak import results
from soak.histograms import RANGE, Latencies
from soak.results import Fault, Operation, Panel, Run, Sample, Series, Violation, Window

BEGAN: Final = 1_764_000_000.0
_MIB: Final = 1 << 20
#: What is called, and how often a second.
RATES: Final[dict[Operation, float]] = {
    "encode": 40.0,
    "verify": 40.0,
    "encode_batch": 12.0,
    "verify_batch": 12.0,
    "get": 30.0,
    "list": 12.0,
    "revoke": 12.0,
    "bad_request": 12.0,
    "bad_token": 12.0,
}


class Course(msgspec.Struct):
    """What is made up. Each function is of seconds since the start.

    Attributes:
        latency: median milliseconds.
        resident_mib, descriptors, threads: of the service's process.
        failures: which share of calls fails.
        bytes_per_record: what a record takes on disk.
        lag: seconds that the load is late.
        panels: whether the dashboard was asked for.
    """

    seconds: float = 120.0
    warm_up: float = 15.0
    seed: int = 1
    latency: Callable[[float], float] = lambda _: 8.0
    resident_mib: Callable[[float], float] = lambda _: 0.0
    descriptors: Callable[[float], float] = lambda _: 0.0
    threads: Callable[[float], float] = lambda _: 0.0
    failures: float = 0.0
    refused: float = 0.0
    bytes_per_record: float = 1500.0
    lag: float = 0.01
    rates: dict[Operation, float] = msgspec.field(default_factory=lambda: dict(RATES))
    faults: list[Fault] = []
    faults_not_made: list[str] = []
    panels: bool = True
    violations: list[Violation] = []
    complete: bool = True
    checked: int = 4000
    window: float = 10.0
    sample: float = 5.0


def write(folder: Path, course: Course) -> Path:
    """Write the folder of such a run."""
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(
        started_at=BEGAN,
        seconds=course.seconds,
        warm_up=course.warm_up,
        users=40,
        processor="a <processor> & its cores",
        revision="0123abc",
        scenarios={"ordinary": 1.0},
        settings={"SIGIL_WORKERS": "1"},
        ended_at=BEGAN + course.seconds,
        complete=course.complete,
        checked_records=course.checked,
        faults_not_made=course.faults_not_made,
        faults_planned=[f"{one.target}/{one.failure}" for one in course.faults],
    )
    (folder / results.RUN).write_bytes(msgspec.json.encode(run))
    chance, numbers = random.Random(course.seed), np.random.default_rng(course.seed)
    for second in np.arange(0, course.seconds, course.window):
        for operation, rate in course.rates.items():
            results.append(folder, results.WINDOWS, _window(course, float(second), operation, rate, numbers))
    for second in np.arange(0, course.seconds, course.sample):
        for sample in _samples(course, float(second), chance):
            results.append(folder, results.SAMPLES, sample)
    for fault in course.faults:
        results.append(folder, results.FAULTS, fault)
    (folder / results.VIOLATIONS).touch()
    for violation in course.violations:
        results.append(folder, results.VIOLATIONS, violation)
    for panel in dashboard.panels() if course.panels else ():
        queries = [(query.expression, query.legend) for query in panel.queries]
        series = [[Series({}, [(BEGAN, 1.0)])] for _ in queries]
        results.append(
            folder,
            results.PANELS,
            Panel(panel.title, panel.section, panel.kind, panel.unit, queries, series),
        )
    return folder


def _window(
    course: Course, second: float, operation: Operation, rate: float, numbers: np.random.Generator
) -> Window:
    calls = int(numbers.poisson(rate * course.window))
    failed, refused = round(calls * course.failures), round(calls * course.refused)
    histogram = Latencies(*RANGE)
    median = course.latency(second) * (2.5 if "batch" in operation else 1)
    for milliseconds in median * numbers.lognormal(0, 0.5, calls - failed - refused):
        histogram.record_value(int(milliseconds * 1000))
    answered = calls - failed - refused
    begin = BEGAN + second
    return Window(
        begin=begin,
        seconds=course.window,
        operation=operation,
        scenario="ordinary",
        histogram=histogram.encode().decode(),
        calls=calls,
        failures={"500": failed} if failed else {},
        refused=refused,
        records=answered * {"encode": 1, "encode_batch": 20}.get(operation, 0),
        during=next(
            (
                f"{one.target}/{one.failure}"
                for one in course.faults
                if begin + course.window > one.began_at and begin < one.ended_at
            ),
            None,
        ),
    )


def _samples(course: Course, second: float, chance: random.Random) -> list[Sample]:
    """The service with the saw-teeth of its garbage collector, and the load."""
    saw = (second % 70) / 70 * 1.5
    resident = 110 + saw + chance.gauss(0, 0.2) + course.resident_mib(second)
    per_second = course.rates.get("encode", 0) + 20 * course.rates.get("encode_batch", 0)
    return [
        Sample(
            at=BEGAN + second,
            process="service/0",
            pid=100,
            resident_bytes=int(resident * _MIB),
            descriptors=60 + chance.randint(-1, 1) + int(course.descriptors(second)),
            threads=6 + int(course.threads(second)),
            cpu_seconds=second * 0.4,
            database_bytes=int(4 * _MIB + per_second * course.bytes_per_record * second),
        ),
        Sample(
            at=BEGAN + second,
            process="load/0",
            pid=200,
            resident_bytes=90 * _MIB,
            descriptors=60,
            threads=3,
            cpu_seconds=second * 0.3,
            lag_seconds=abs(chance.gauss(0, course.lag / 3)),
        ),
    ]
