"""Work that is finished once it has begun, although its caller was sent away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class Completion:
    """Runs work in tasks of its own: a deadline or a stop cancels who waits for it, and not the work."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def of(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The outcome of some work. If the caller is cancelled, the work goes on."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for what still runs."""
        await asyncio.gather(*self._running, return_exceptions=True)
