"""A few tasks that each have one request under way, and take whatever waits when they are free."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Slots:
    """Tasks that work off a queue. They are made when there is work, and end when there is none.

    For one event loop.
    """

    def __init__(self, most: int, work: Callable[[], Awaitable[bool]]) -> None:
        """Begin without tasks.

        Args:
            most: tasks at once.
            work: takes some of what waits and does it; False if nothing waits.
        """
        self._most = most
        self._work = work
        self._running: set[asyncio.Task[None]] = set()
        #: One is about to look for work: whatever comes until then goes together.
        self._called = False

    def call(self) -> None:
        """Have one more look for work, unless all are at work, or one is about to look."""
        if not self._called and len(self._running) < self._most:
            self._called = True
            slot = asyncio.create_task(self._run())
            self._running.add(slot)
            slot.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _run(self) -> None:
        self._called = False
        while await self._work():
            pass
