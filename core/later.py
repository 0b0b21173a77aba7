"""What a call will come to, for those who wait for it without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any


class Later:
    """A future that tells at once: who waits is called where the result is set, not in the loop's next turn.

    A group of writes that is done wakes its callers one behind the other, for a third of what futures take.
    It belongs to its loop's thread, and is not cancelled.
    """

    __slots__ = ("_callbacks", "_error", "_is_done", "_loop", "_result")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: list[Callable[[Later], object]] = []
        self._is_done = False
        self._result: Any = None
        self._error: BaseException | None = None

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
        """Have something called when it is done."""
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


#: What stores and the audit log settle: for a task, or for one who waits without.
Settled = Later | asyncio.Future[Any]
