"""How long a request may take."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

_SWEEP_SECONDS: Final = 1.0


class DeadlinePassedError(Exception):
    """The request has taken too long."""


class Deadlines:
    """Ends what takes too long, with one clock for all: a timer for each request costs too much.

    It looks once a second, so what it ends may have taken a second longer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched: dict[_Watched, float] = {}  # the oldest first
        self._clock: asyncio.TimerHandle | None = None

    def watch(self) -> _Watched:
        """A context for the running task. It raises DeadlinePassedError when its time is over."""
        return _Watched(self)

    def _begin(self, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        self._watched[watched] = loop.time()
        if self._clock is None:
            self._clock = loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _finish(self, watched: _Watched) -> None:
        self._watched.pop(watched, None)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() - self._seconds
        overdue = []
        for watched, since in self._watched.items():
            if since > latest:
                break
            overdue.append(watched)
        for watched in overdue:
            del self._watched[watched]
            watched.expire()
        self._clock = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._watched else None


class _Watched:
    """A task, which is cancelled when its time is over; as ``asyncio.timeout`` does it."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be watched")
        self._task: asyncio.Task[object] = task
        self._cancelling = task.cancelling()
        self._deadlines._begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines._finish(self)
        # Another cancellation, of whoever stops the server, counts for more.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise DeadlinePassedError from error

    def expire(self) -> None:
        self._expired = True
        self._task.cancel()
