"""What the slices of a run say together: a row's figures, and whether its goal is reached."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import sigil_native
from benchmarks.rows import Row, all_rows
from sigil_native._hashing import kernels


class Figures(TypedDict):
    """A row as the JSON file has it.

    Attributes:
        ours: seconds an item, or the figure in the row's unit.
        peer: seconds an item; none where the goal is absolute.
        fraction: how much of the goal is reached; from 1 it is.
    """

    suite: str
    row: str
    against: str
    unit: str
    ours: float
    peer: float | None
    measured: float
    goal: float
    at_most: bool
    fraction: float
    reached: bool


class Summary(TypedDict):
    """What is added to pytest-benchmark's JSON, as ``sigil``."""

    processor: str
    processors: int
    kernels: list[str]
    level: str
    python: str
    backend: str
    date: str
    rows: list[Figures]


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _figure(benchmark: Mapping[str, Any]) -> float:
    noted = benchmark["extra_info"]
    if "figure" in noted:
        return float(noted["figure"])
    # Least of all rounds; pytest-benchmark has divided by the calls of a round.
    return float(benchmark["stats"]["min"]) / float(noted["items"])


def figures_of(row: Row, ours: float, peer: float | None) -> Figures:
    """A row's figures from the best of both sides."""
    measured = row.measured(ours, peer)
    return {
        "suite": row.suite,
        "row": row.name,
        "against": row.against,
        "unit": row.unit,
        "ours": ours,
        "peer": peer,
        "measured": measured,
        "goal": row.goal,
        "at_most": row.at_most,
        "fraction": row.fraction(measured),
        "reached": row.reached(measured),
    }


def summarise(benchmarks: Iterable[Mapping[str, Any]]) -> Summary:
    """Merge slices: the best of each side counts.

    Args:
        benchmarks: as pytest-benchmark's JSON has them.
    """
    best: dict[tuple[str, str, str], float] = {}
    for benchmark in benchmarks:
        noted = benchmark["extra_info"]
        key = (noted["row"], noted["against"], noted["side"])
        best[key] = min(_figure(benchmark), best.get(key, float("inf")))
    rows = []
    for row in all_rows():
        sides = [best.get((row.name, row.against, side)) for side in row.sides]
        if sides[0] is not None and sides[-1] is not None:
            rows.append(figures_of(row, sides[0], sides[1] if len(sides) == 2 else None))
    return {
        "processor": processor(),
        "processors": os.cpu_count() or 1,
        "kernels": sorted(kernels()),
        "level": sigil_native.level,
        "python": platform.python_version(),
        "backend": sigil_native.backend,
        "date": datetime.now(UTC).date().isoformat(),
        "rows": rows,
    }
