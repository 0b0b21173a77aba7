"""Long work in the event loop, in slices, so that others get their turns."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from core.later import Later

_SLICE_SECONDS: Final = 0.002


class TimeSlices:
    """The slices of one piece of work. Ask for a pause between any two steps of it."""

    __slots__ = ("_ends_at",)

    def __init__(self) -> None:
        """Begin the first slice."""
        self._ends_at = time.monotonic() + _SLICE_SECONDS

    async def pause(self) -> None:
        """Let others run, if this slice is over; then begin the next one."""
        if time.monotonic() >= self._ends_at:
            await self._turn()
            self._ends_at = time.monotonic() + _SLICE_SECONDS

    async def _turn(self) -> None:
        """Let others run."""
        await asyncio.sleep(0)


class PromptSlices(TimeSlices):
    """The same for work that has no task."""

    __slots__ = ()

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        turn = Later(loop)
        loop.call_soon(turn.set_result, None)
        await turn
