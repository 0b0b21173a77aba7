"""Seconds since the epoch on a clock that never jumps."""

from __future__ import annotations

import time
from typing import Final

_OFFSET: Final = time.time() - time.monotonic()


def now() -> float:
    """The time that it was when the process began, and what has passed since."""
    return _OFFSET + time.monotonic()
