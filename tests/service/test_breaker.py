"""The circuit breaker."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.breaker import Breaker, BreakerOpenError, State
from tests.heavy import HEAVY


class BreakerMachine(RuleBasedStateMachine):
    """Any number of calls at once that succeed, fail and are given up, while time passes."""

    @initialize(failures=st.integers(1, 4), pause=st.sampled_from([0.0, 1.0, 5.0]))
    def begin(self, failures: int, pause: float) -> None:
        """Make a breaker."""
        self.now = 0.0
        self.failures = failures
        self.pause = pause
        self.changes: list[State] = ["closed"]
        self.breaker = Breaker(
            failures=failures, pause=pause, clock=lambda: self.now, on_change=self.changes.append
        )
        self.opened = 0.0
        self.in_a_row = 0
        # What is under way, and how many changes of state had been when it began.
        self.calls: list[tuple[int, int]] = []

    @property
    def probes(self) -> list[tuple[int, int]]:
        """Calls of the state that is now."""
        return [call for call in self.calls if call[1] == len(self.changes)]

    @rule(seconds=st.sampled_from([0.25, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule()
    def call(self) -> None:
        """A call is let through if it is closed, or if nobody else tries after the pause."""
        state = self.changes[-1]
        if state == "open":
            admitted = self.now >= self.opened + self.pause
        else:
            admitted = state == "closed" or not self.probes
        if admitted:
            admission = self.breaker.admit()
            assert self.breaker.state == ("half_open" if state == "open" else state)
            self.calls.append((admission, len(self.changes)))
        else:
            with pytest.raises(BreakerOpenError):
                self.breaker.admit()

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), success=st.sampled_from([True, False, False, None]))
    def conclude(self, data: st.DataObject, success: bool | None) -> None:
        """A call ends. One of another time changes nothing."""
        call = data.draw(st.sampled_from(self.calls))
        self.calls.remove(call)
        before, counts = list(self.changes), call[1] == len(self.changes)
        state = str(before[-1])
        expected: State | None = None
        if counts and success is not None:
            self.in_a_row = 0 if success else self.in_a_row + 1
            if success and state == "half_open":
                expected = "closed"
            if not success and (state == "half_open" or self.in_a_row == self.failures):
                expected, self.opened, self.in_a_row = "open", self.now, 0
        self.breaker.conclude(call[0], success)
        assert self.changes == (before if expected is None else [*before, expected])

    @invariant()
    def one_probe(self) -> None:
        """It tells the state that its callback heard, and never has two probes under way."""
        if hasattr(self, "breaker"):
            assert self.breaker.state == self.changes[-1]
            assert self.breaker.state == "closed" or len(self.probes) <= 1
            expected = max(self.opened + self.pause - self.now, 0) if self.changes[-1] == "open" else 0
            assert self.breaker.wait == pytest.approx(expected)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=1500 if HEAVY else 15)


async def test_one_of_many_callers_probes() -> None:
    """Of many callers at once exactly one tries a peer that was away; if it gives up, exactly one other."""
    now = 0.0
    breaker = Breaker(failures=2, pause=1.0, clock=lambda: now)
    answer = asyncio.Event()
    reached = 0

    async def call() -> None:
        nonlocal reached
        admission = breaker.admit()
        success = None
        try:
            reached += 1
            await answer.wait()
            success = True
        finally:
            breaker.conclude(admission, success)

    for _ in range(2):
        breaker.conclude(breaker.admit(), False)
    assert str(breaker.state) == "open"
    now = 1.0
    for turn in range(1, 4):
        callers = [asyncio.create_task(call()) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reached == turn
        under_way = [caller for caller in callers if not caller.done()]
        assert len(under_way) == 1
        assert all(isinstance(caller.exception(), BreakerOpenError) for caller in callers if caller.done())
        if turn < 3:
            under_way[0].cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            assert str(breaker.state) == "half_open"
    answer.set()
    await asyncio.gather(*under_way)
    assert str(breaker.state) == "closed"


@pytest.mark.parametrize("options", [{"failures": 0}, {"pause": -1.0}, {"pause": float("nan")}])
def test_breakers_that_cannot_be(options: dict[str, float]) -> None:
    """A breaker that would never open, or never close, is refused."""
    with pytest.raises(ValueError, match="breaker"):
        Breaker(**options)  # type: ignore[arg-type]
