"""Lines of the audit log written and checked."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_audit(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
