"""A progress bar for a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

_INTERVAL: Final = 0.1
_BAR: Final = 24


def _bytes(amount: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Bytes read, rate and time left, on standard error.

    Shown only where somebody looks: standard error is a terminal, and results
    do not scroll over the same one.
    """

    def __init__(
        self, label: str, total: int | None, *, wanted: bool = True, to_stdout: bool = False
    ) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._next = self._started
        self._shown = False
        self._active = wanted and _is_terminal(2) and not (to_stdout and _is_terminal(1))

    def advance(self, amount: int) -> None:
        """Count ``amount`` more bytes; redraw ten times a second at most."""
        self._done += amount
        if self._active and (now := time.monotonic()) >= self._next:
            self._next = now + _INTERVAL
            self._draw(now - self._started)

    def clear(self) -> None:
        """Take the bar off the screen, before other lines and at the end."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def _draw(self, elapsed: float) -> None:
        rate = self._done / elapsed if elapsed > 0 else 0.0
        speed = f"{_bytes(self._done)}  {_bytes(rate)}/s"
        if self._total:
            share = min(self._done / self._total, 1.0)
            filled = "#" * int(share * _BAR)
            left = _clock((self._total - self._done) / rate) if rate and share < 1 else "0:00"
            line = f"{self._label} [{filled:<{_BAR}}] {share:4.0%}  {speed}  ETA {left}"
        else:
            line = f"{self._label} {speed}  {_clock(elapsed)}"
        sys.stderr.write(f"\r{line[: _columns() - 1]}\x1b[K")
        sys.stderr.flush()
        self._shown = True


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns or 80
    except OSError:
        return 80
