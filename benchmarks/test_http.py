"""The service beside an empty Starlette, on a core each of server and client."""

from __future__ import annotations

from benchmarks.slices import TimeSlice


def test_http(time_slice: TimeSlice) -> None:
    """A slice of a row of this suite."""
    time_slice()
