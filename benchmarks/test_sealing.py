"""Sigils, one a call."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_sealing(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
