"""A bound on calls at once, and on those that wait for their turn."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

from core.errors import StoreOverloadedError


class Bulkhead:
    """A context that so many calls may be in at once. So many others may wait; the rest are refused at once.

    For one event loop.
    """

    def __init__(self, most: int, most_waiting: int) -> None:
        """Begin without calls."""
        self._most: Final = most
        self._turns = asyncio.Semaphore(most)
        self._admitted = 0
        self._most_admitted: Final = most + most_waiting

    async def __aenter__(self) -> None:
        if self._admitted >= self._most_admitted:
            raise StoreOverloadedError
        self._admitted += 1
        try:
            await self._turns.acquire()
        except BaseException:
            self._admitted -= 1
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.release()
        self._admitted -= 1

    async def drain(self) -> None:
        """Wait until nobody is inside. Nobody may enter any more."""
        for _ in range(self._most):
            await self._turns.acquire()
