"""Work that is done together with what comes at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

#: That wait for no others.
ENOUGH: Final = 64
#: Seconds that the first waits for others, at most.
_PATIENCE: Final = 0.002


def when_gathered(
    loop: asyncio.AbstractEventLoop, waiting: Callable[[], int], then: Callable[[], None]
) -> None:
    """Call something when a turn of a loop has brought nothing more to what waits, or enough waits.

    Where a group costs as much as many of its members, it is worth the next turn, which may bring others. A
    loop that has nothing else to do takes it at once.
    """
    give_up_at = time.monotonic() + _PATIENCE

    def look(seen: int) -> None:
        count = waiting()
        if seen < count < ENOUGH and time.monotonic() < give_up_at:
            loop.call_soon(look, count)
        else:
            then()

    loop.call_soon(look, 0)
