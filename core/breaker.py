"""A circuit breaker: leaves a peer alone that fails again and again, and lets one call at a time try it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class BreakerOpenError(Exception):
    """The peer is left alone now; the call was not made."""


class Breaker:
    """Closed, it lets all calls through, until ``failures`` of them in a row have failed.

    Then it is open, and lets none through for ``pause`` seconds. After that it is half open: exactly one
    call at a time is the probe. Its success closes the breaker, its failure opens it again. A probe that was
    cancelled tells nothing about the peer, so it counts neither way: its place is free for the next call.
    Calls that began before the last change of state tell of another time, and count no more.

    For one event loop, or one thread.
    """

    __slots__ = (
        "_clock",
        "_era",
        "_failures",
        "_in_a_row",
        "_on_change",
        "_pause",
        "_probing",
        "_until",
        "state",
    )

    def __init__(
        self,
        *,
        failures: int = 5,
        pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[State], object] | None = None,
    ) -> None:
        """Begin closed.

        Args:
            failures: in a row that open it; at least 1.
            pause: seconds for which it is open then.
            clock: seconds from any moment on.
            on_change: called with the new state after each change of it.
        """
        if failures < 1 or not pause >= 0:
            raise ValueError("a breaker opens after 1 failure or more, for no less than 0 seconds")
        self._failures = failures
        self._pause = pause
        self._clock = clock
        self._on_change = on_change
        self._in_a_row = 0
        self._until = 0.0
        self._probing = False
        self._era = 0
        self.state: State = "closed"

    @property
    def wait(self) -> float:
        """Seconds until a probe may be made; 0.0 unless it is open."""
        return max(self._until - self._clock(), 0.0) if self.state == "open" else 0.0

    def admit(self) -> int:
        """Ask for a call, whose outcome must be told to ``conclude`` with the number that this returns.

        Raises:
            BreakerOpenError: it must not be made.
        """
        if self.state == "closed":
            return self._era
        if self.state == "open" and self._clock() >= self._until:
            self._change("half_open")
        if self.state == "open" or self._probing:
            raise BreakerOpenError
        self._probing = True
        return self._era

    def conclude(self, admission: int, success: bool | None) -> None:
        """Tell what became of a call; None if it was given up."""
        if admission != self._era:
            return
        self._probing = False
        if success is None:
            return
        if success:
            self._in_a_row = 0
            if self.state == "half_open":
                self._change("closed")
            return
        self._in_a_row += 1
        if self.state == "half_open" or self._in_a_row >= self._failures:
            self._in_a_row = 0
            self._until = self._clock() + self._pause
            self._change("open")

    def _change(self, state: State) -> None:
        self.state = state
        self._era += 1
        self._probing = False
        if self._on_change is not None:
            self._on_change(state)
