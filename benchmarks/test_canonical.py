"""Canonical JSON through both doors."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_canonical(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
