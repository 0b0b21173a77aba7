"""How long a request, or its body, may take."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final, Protocol

_SWEEP_SECONDS: Final = 1.0


class DeadlinePassedError(Exception):
    """It has taken too long."""


class Expiring(Protocol):
    """What may take too long."""

    def expire(self) -> None:
        """Its time is over, and it is not watched any more."""


class Deadlines:
    """Ends what takes too long, with one clock for all: a timer for each request costs too much.

    It looks once a second, so what it ends may have taken a second longer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: dict[Expiring, float] = {}  # the oldest first
        self._clock: asyncio.TimerHandle | None = None

    def watch(self) -> _Watched:
        """A context for the running task. It raises DeadlinePassedError when its time is over."""
        self._wind_up()
        return _Watched(self._begun)

    def watch_over(self, one: Expiring) -> None:
        """Have something told when its time is over, unless ``forget`` is called before."""
        self._wind_up()
        self._begun[one] = time.monotonic()

    def forget(self, one: Expiring) -> None:
        """Watch no longer over something."""
        self._begun.pop(one, None)

    def _wind_up(self) -> None:
        if self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        latest = time.monotonic() - self._seconds
        overdue = []
        for watched, begun in self._begun.items():
            if begun > latest:
                break
            overdue.append(watched)
        for watched in overdue:
            del self._begun[watched]
            watched.expire()
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._begun else None


class _Watched:
    """A task, which is cancelled when its time is over; as ``asyncio.timeout`` does it."""

    __slots__ = ("_begun", "_cancelled_before", "_task")

    _task: asyncio.Task[object] | None

    def __init__(self, begun: dict[Expiring, float]) -> None:
        self._begun = begun
        #: How often others had cancelled the task when its time was over; -1 if it is not.
        self._cancelled_before = -1

    def __enter__(self) -> _Watched:
        self._task = asyncio.current_task()
        self._begun[self] = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._begun.pop(self, None)
        task, self._task = self._task, None
        if self._cancelled_before < 0 or task is None:
            return
        # Another cancellation, of whoever stops the server, counts for more.
        if task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError:
            raise DeadlinePassedError from error

    def renew(self) -> None:
        """Begin again, unless the time is over."""
        if self in self._begun:
            del self._begun[self]
            self._begun[self] = time.monotonic()  # at the end: the oldest come first

    def expire(self) -> None:
        if self._task is not None:
            self._cancelled_before = self._task.cancelling()
            self._task.cancel()
