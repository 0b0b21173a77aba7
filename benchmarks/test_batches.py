"""Sigils, many a call, on one core and on two."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_batches(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
