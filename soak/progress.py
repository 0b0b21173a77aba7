"""What is shown while a run goes on: rates, latencies, faults, violations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
from hdrh.histogram import HdrHistogram
from rich.table import Table

from soak.results import VIOLATIONS, WINDOWS, Window
from soak.run import Progress
from soak.windows import DIGITS, HIGHEST, LOWEST

_decoder: Final = msgspec.json.Decoder(Window)


class Display:
    """The newest complete windows of the results folder as a table."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._progress = Progress("starting")
        self._read = 0
        self._newest: list[Window] = []

    def tell(self, progress: Progress) -> None:
        """Take in how far it is."""
        self._progress = progress

    def render(self) -> Table:
        """The table."""
        self._look()
        table = Table(title=self._title())
        for heading in ("operation", "calls/s", "p50 ms", "p99 ms", "refused", "failed"):
            table.add_column(heading, justify="left" if heading == "operation" else "right")
        for operation in sorted({window.operation for window in self._newest}):
            windows = [window for window in self._newest if window.operation == operation]
            merged = HdrHistogram(LOWEST, HIGHEST, DIGITS)
            failures: Counter[str] = Counter()
            for window in windows:
                merged.decode_and_add(window.histogram)
                failures.update(window.failures)
            table.add_row(
                operation,
                f"{sum(window.calls for window in windows) / windows[0].seconds:,.1f}",
                *(f"{merged.get_value_at_percentile(part) / 1000:,.1f}" for part in (50, 99)),
                str(sum(window.refused for window in windows)),
                ", ".join(f"{count} {what}" for what, count in failures.items()) or "0",
            )
        return table

    def _title(self) -> str:
        told = self._progress
        violations = 0
        path = self._folder / VIOLATIONS
        if path.exists():
            violations = path.read_bytes().count(b"\n")
        parts = [told.stage]
        if told.stage == "running":
            parts.append(f"{max(0.0, told.elapsed):,.0f} of {self._seconds:,.0f} s")
        if told.records:
            parts.append(f"{told.records:,} found")
        if told.fault:
            parts.append(f"fault: {told.fault}")
        return f"{', '.join(parts)}; {violations} violations"

    def _look(self) -> None:
        """Read what has come since the last look; keep the windows of the newest ten seconds."""
        path = self._folder / WINDOWS
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._newest.append(_decoder.decode(line))
        if self._newest:
            last = max(window.begin for window in self._newest)
            self._newest = [window for window in self._newest if window.begin == last]
