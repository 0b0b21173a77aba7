"""HMACs of one message and of many."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_hashing(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
