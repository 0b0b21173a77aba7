"""Work that is finished once it has begun, although its caller was sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class Completion:
    """Runs work in tasks of its own: a deadline or a stop cancels who waits for it, and not the work."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def of(self, work: Coroutine[Any, Any, _T], *, at_once: bool = False) -> _T:
        """The outcome of some work. If the caller is cancelled, the work goes on.

        Args:
            work: what is to be finished.
            at_once: begin it here, and make a task only for what is left when it waits. It must not ask
                which task it is in before that.
        """
        rest = work
        if at_once:
            try:
                waiting = work.send(None)
            except StopIteration as end:
                outcome: _T = end.value
                return outcome
            rest = _rest(work, waiting)
        task = asyncio.create_task(rest)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what still runs."""
        await asyncio.gather(*self._running, return_exceptions=True)


async def _rest(work: Coroutine[Any, Any, _T], waiting: Any) -> _T:
    """What is left of work that waits for something already."""
    return await _resumed(work, waiting)


@coroutine
def _resumed(work: Coroutine[Any, Any, _T], waiting: Any) -> Generator[Any, Any, _T]:
    """Wait for that in the place of the work, hand it what comes, and go on so to its end."""
    try:
        while True:
            try:
                sent = yield waiting
            except BaseException as error:
                waiting = work.throw(error)
            else:
                waiting = work.send(sent)
    except StopIteration as end:
        outcome: _T = end.value
        return outcome
