"""Deadlines for many calls that may all take equally long: ``asyncio.timeout`` at a tenth of its cost."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self


class Deadlines:
    """Makes deadlines, of which the first made is the first to pass. So one timer does for all of them.

    For short times: one keeps its place until its moment, even if its call has long ended. Requests, which
    have a minute, are watched in another way.

    For one event loop.
    """

    __slots__ = ("_loop", "_seconds", "_timer", "_waiting")

    def __init__(self, seconds: float) -> None:
        """Give each call so many seconds."""
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Deadline] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Deadline:
        """A deadline from now on, as a context that raises TimeoutError when it has passed."""
        return Deadline(self)

    def close(self) -> None:
        """Give up the timer. Deadlines that are under way pass no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def enter(self, deadline: Deadline) -> None:
        """Watch over a deadline."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        deadline.moment = loop.time() + self._seconds
        self._waiting.append(deadline)
        if self._timer is None:
            self._timer = loop.call_at(deadline.moment, self._pass, loop)

    def _pass(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is too late, and set the timer for the next."""
        self._timer = None
        now = loop.time()
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            if first.task is not None:
                if first.moment > now:
                    self._timer = loop.call_at(first.moment, self._pass, loop)
                    return
                first.passed = True
                first.task.cancel()
            waiting.popleft()


class Deadline:
    """One call's deadline.

    Attributes:
        task: that is cancelled when it passes; None when the call has ended.
        moment: of the event loop, at which it passes.
        passed: whether it has.
    """

    __slots__ = ("_cancelling", "_deadlines", "moment", "passed", "task")

    def __init__(self, deadlines: Deadlines) -> None:
        """See ``Deadlines.begin``."""
        self._deadlines = deadlines
        self._cancelling = 0
        self.task: asyncio.Task[object] | None = None
        self.moment = 0.0
        self.passed = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task")
        self.task = task
        self._cancelling = task.cancelling()
        self._deadlines.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        # As in asyncio.timeout: somebody else's cancellation at the same time goes on.
        if (
            self.passed
            and task is not None
            and task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
