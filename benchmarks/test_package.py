"""What is wanted in absolute figures."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_package(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
