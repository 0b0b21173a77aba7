"""Deadlines of many calls."""

from __future__ import annotations

import asyncio
import time

import pytest

from core.deadlines import Deadlines


async def test_what_is_too_late_is_cancelled() -> None:
    """Of many calls, those that take too long end at their deadline, the others are left alone."""
    deadlines = Deadlines(0.1)
    begin = time.monotonic()

    async def call(seconds: float) -> str:
        try:
            with deadlines.begin() as deadline:
                await asyncio.sleep(seconds)
        except TimeoutError:
            assert deadline.passed
            return "late"
        assert not deadline.passed
        return "in time"

    first = [asyncio.create_task(call(seconds)) for seconds in (0, 30, 0.01, 30)]
    await asyncio.sleep(0.05)
    second = [asyncio.create_task(call(seconds)) for seconds in (30, 0, 30)]
    assert await asyncio.gather(*first) == ["in time", "late", "in time", "late"]
    assert await asyncio.gather(*second) == ["late", "in time", "late"]
    assert 0.14 < time.monotonic() - begin < 10
    # Nobody is left, and it works again.
    assert await call(0) == "in time"
    assert await call(30) == "late"


async def test_others_cancellations_go_on() -> None:
    """A task that somebody else cancels is cancelled, also if its deadline passes at the same time."""
    deadlines = Deadlines(0.02)

    async def call() -> None:
        with deadlines.begin():
            await asyncio.sleep(30)

    for block in (False, True):
        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        if block:
            # The deadline passes while nobody else runs.
            time.sleep(0.03)  # noqa: ASYNC251
            asyncio.get_running_loop().call_soon(task.cancel)
        else:
            task.cancel()
        with pytest.raises((asyncio.CancelledError, TimeoutError)) as caught:
            await task
        assert block or caught.type is asyncio.CancelledError


async def test_a_deadline_is_over_with_its_call() -> None:
    """What a task does after its call is not cancelled, and other errors pass unchanged."""
    deadlines = Deadlines(0.01)
    with pytest.raises(ValueError, match="mine"), deadlines.begin():
        raise ValueError("mine")
    with deadlines.begin():
        pass
    await asyncio.sleep(0.03)
    with pytest.raises(TimeoutError), deadlines.begin():
        await asyncio.sleep(30)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    deadlines.close()
