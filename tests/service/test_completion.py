"""Work that is finished although nobody waits for it any more."""

from __future__ import annotations

import asyncio

import pytest

from app.http.completion import Completion

AT_ONCE = pytest.mark.parametrize("at_once", [True, False])


@AT_ONCE
async def test_outcomes(at_once: bool) -> None:
    """Whoever waits gets the outcome or the error, whether the work waits for something or not."""
    completion = Completion()

    async def work(turns: int, *, fails: bool) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns > 1:
            await asyncio.sleep(0.001)
        if fails:
            raise LookupError
        return turns

    for turns in range(4):
        assert await completion.of(work(turns, fails=False), at_once=at_once) == turns
        with pytest.raises(LookupError):
            await completion.of(work(turns, fails=True), at_once=at_once)
    await completion.close()


async def test_no_task_where_nothing_is_waited_for() -> None:
    """Work that is begun at once and does not wait is done before anybody else has a turn."""
    completion = Completion()
    before = asyncio.all_tasks()

    async def work() -> set[asyncio.Task[object]]:
        return asyncio.all_tasks()

    assert await completion.of(work(), at_once=True) == before
    assert await completion.of(work()) != before


@AT_ONCE
async def test_the_work_of_a_caller_who_is_cancelled(at_once: bool) -> None:
    """It goes on, and a stop waits for it."""
    completion = Completion()
    goes_on = asyncio.Event()
    done = []

    async def work() -> None:
        await goes_on.wait()
        await asyncio.sleep(0.001)
        done.append(True)

    caller = asyncio.create_task(completion.of(work(), at_once=at_once))
    await asyncio.sleep(0.001)
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert not done
    goes_on.set()
    await completion.close()
    assert done


async def test_errors_of_what_is_waited_for() -> None:
    """The work gets them, and may go on."""
    completion = Completion()
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, LookupError())

    async def work() -> str:
        try:
            await future
        except LookupError:
            await asyncio.sleep(0)
            return "caught"
        return "missed"

    assert await completion.of(work(), at_once=True) == "caught"
