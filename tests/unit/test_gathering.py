"""Work that waits for what comes at the same time."""

from __future__ import annotations

import asyncio

import pytest

from core import gathering
from core.gathering import ENOUGH, when_gathered


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The steady clock, which stands still until it is set."""
    now = [100.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(gathering, "time", Clock)
    return now


async def turns_until_called(arrivals: list[int]) -> int:
    """How many turns of the loop it takes, where each brings so many."""
    loop, waiting, called = asyncio.get_running_loop(), arrivals[0], asyncio.Event()
    when_gathered(loop, lambda: waiting, called.set)
    turns = 0
    while not called.is_set():
        await asyncio.sleep(0)
        turns += 1
        waiting += arrivals[turns] if turns < len(arrivals) else 0
    return turns


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("arrivals", "turns"),
    [([1], 2), ([1, 1], 3), ([1, 1, 1, 1], 5), ([1, 0, 1], 2), ([ENOUGH], 1), ([1, ENOUGH], 2)],
)
async def test_turns(arrivals: list[int], turns: int) -> None:
    """It is called behind a turn that has brought nothing, or when there is enough."""
    assert await turns_until_called(arrivals) == turns


async def test_patience(clock: list[float]) -> None:
    """What goes on and on is not waited for."""
    loop, waiting, called = asyncio.get_running_loop(), 0, asyncio.Event()

    def one_more() -> int:
        nonlocal waiting
        waiting += 1
        return waiting

    when_gathered(loop, one_more, called.set)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not called.is_set()
    clock[0] += 0.002
    await asyncio.sleep(0)
    assert called.is_set()
