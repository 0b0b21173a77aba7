"""What a call will come to, for those who wait for it without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, Self


class Later:
    """A future that tells at once: who waits is called where the result is set, not in the loop's next turn.

    A group of writes that is done wakes its callers one behind the other, for a third of what futures take.
    It belongs to its loop's thread, and is not cancelled.

    Attributes:
        followed_at: of one with a ``Sequel``, when what comes first was done, by the clock for intervals;
            None while it is not.
    """

    __slots__ = ("_callbacks", "_error", "_is_done", "_loop", "_result", "followed_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: list[Callable[[Later], object]] = []
        self._is_done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self.followed_at: float | None = None

    def __await__(self) -> Generator[Later, None, Any]:
        if not self._is_done:
            yield self
        if self._error is not None:
            raise self._error
        return self._result

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """See Future."""
        return self._loop

    def done(self) -> bool:
        """Whether there is a result, or an error."""
        return self._is_done

    def exception(self) -> BaseException | None:
        """The error; None where there is none, or not yet."""
        return self._error

    def add_done_callback(self, tell: Callable[[Later], object]) -> None:
        """Have something called when it is done; at once, if it is."""
        if self._is_done:
            tell(self)
        else:
            self._callbacks.append(tell)

    def set_result(self, result: object) -> None:
        """It has come to this."""
        self._result = result
        self._tell()

    def set_exception(self, error: BaseException) -> None:
        """It has failed."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        self._is_done = True
        for tell in self._callbacks:
            try:
                tell(self)
            except Exception as error:
                # A defect of ours. Whoever sets results has others to wake.
                self._loop.call_exception_handler({"message": "a callback failed", "exception": error})


class Sequel(Protocol):
    """What follows when something is done, before anybody is told: both are waited for as one.

    Whoever does the first thing begins it, in their own thread, so nobody is woken in between. Where the
    first thing fails, its error is set, and the sequel does not happen.
    """

    @property
    def later(self) -> Later:
        """What comes of both. It is settled by the sequel, once that is begun."""

    def begin_all(self, sequels: Sequence[Self]) -> None:
        """Begin several, of which this is the first. For any thread; never waits and never raises."""


#: What stores and the audit log settle: for a task, or for one who waits without.
Settled = Later | asyncio.Future[Any]
