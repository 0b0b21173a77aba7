"""Token buckets."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_buckets(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
