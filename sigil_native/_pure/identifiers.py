"""UUIDv7: identifiers that sort by the time they were made (RFC 9562 §5.7).

::

    48 bits  milliseconds since the Unix epoch
     4 bits  version, 0111
    12 bits  counter, upper bits
     2 bits  variant, 10
    14 bits  counter, lower bits
    48 bits  random
"""

from __future__ import annotations

import os
import threading
import time
import uuid

#: The longest step back of the clock that identifiers hide by staying where they are.
_HIDDEN_STEP_BACK_MS = 60_000
_COUNTER_LIMIT = 1 << 26


class _Generator:
    """Monotonic within the process (RFC 9562 §6.2, method 1: a counter of its own)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = -1
        self._counter = 0

    def next(self, now_ms: int) -> bytes:
        with self._lock:
            steps_back = now_ms < self._last_ms - _HIDDEN_STEP_BACK_MS
            if now_ms > self._last_ms or steps_back:
                self._begin(now_ms)
            else:
                self._counter += 1
                if self._counter == _COUNTER_LIMIT:
                    self._begin(self._last_ms + 1)
            timestamp, counter = self._last_ms, self._counter
        value = timestamp << 80 | 0x7 << 76 | (counter >> 14) << 64 | 0b10 << 62 | (counter & 0x3FFF) << 48
        return (value | int.from_bytes(os.urandom(6), "big")).to_bytes(16, "big")

    def _begin(self, timestamp: int) -> None:
        """Start a millisecond; the counter's top bit is 0, which leaves room to count."""
        self._last_ms = timestamp
        self._counter = int.from_bytes(os.urandom(4), "big") % (_COUNTER_LIMIT // 2)


_generator = _Generator()


def _forget_parent() -> None:
    """In a forked child: a fresh lock and counter, so that it repeats nothing of its parent."""
    global _generator  # noqa: PLW0603 - one generator a process
    _generator = _Generator()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def uuid7_bytes() -> bytes:
    """A new UUIDv7 as 16 bytes."""
    return _generator.next(time.time_ns() // 1_000_000)


def uuid7() -> str:
    """A new UUIDv7 as text: 8-4-4-4-12 lower-case hex digits."""
    return str(uuid.UUID(bytes=uuid7_bytes()))
