"""What is awaited without a task, for tests, which have one."""

from __future__ import annotations

import asyncio
from typing import Any

from core.later import Later


def outcome_of(later: Later) -> asyncio.Future[Any]:
    """What something comes to, for a task to wait for."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def outcome() -> Any:
        return await later

    def tell(_: Later) -> None:
        try:
            outcome().send(None)
        except StopIteration as end:
            future.set_result(end.value)
        except Exception as error:
            future.set_exception(error)

    later.add_done_callback(tell)
    return future
