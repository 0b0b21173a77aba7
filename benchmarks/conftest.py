"""Makes slices of the rows into tests, and adds what they say together to pytest-benchmark's JSON."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from benchmarks.rows import rows_with
from benchmarks.slices import Slice, Stage, TimeSlice, slices_of
from benchmarks.summary import summarise


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which rows, and how long."""
    parser.addoption("--rows", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.addoption("--rounds", type=int, default=40, help="rounds of 10 ms for each side of a row")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each turn of a side, so that the sides alternate."""
    suite = metafunc.function.__name__.removeprefix("test_")
    wanted = metafunc.config.getoption("rows")
    rows = [row for row in rows_with(wanted) if row.suite == suite]
    slices = [part for row in rows for part in slices_of(row, metafunc.config.getoption("rounds"))]
    metafunc.parametrize("timed", slices, ids=[part.identity for part in slices])


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The row that is being timed."""
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def time_slice(stage: Stage, timed: Slice, benchmark: Any) -> TimeSlice:
    """Times the slice that this test is."""
    return partial(stage.time, timed, benchmark)


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Add the rows, each with its best slices."""
    output_json["sigil"] = summarise(output_json["benchmarks"])
