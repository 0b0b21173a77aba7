"""Both backends count, and tell, alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sigil_native import Decision
from sigil_native._rate_headers import RateHeaders, RatePolicy
from tests.parity.outcomes import NATIVE, PURE

_SECOND = 10**9
#: Seconds that a bucket may take to fill.
_LONGEST_FILLING = 366 * 86400
#: Name, quota, window and burst of a limit.
_limits = st.tuples(
    st.text(
        st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=8
    ),
    st.integers(1, 10**6) | st.integers(1, 300),
    st.integers(1, 600),
    st.integers(1, 10**6) | st.integers(1, 40),
).filter(lambda limit: limit[3] * limit[2] <= _LONGEST_FILLING * limit[1])
#: Nanoseconds that pass, set back or jump ahead, and what a request costs after them.
_histories = st.lists(
    st.tuples(st.integers(-_SECOND, 20 * _SECOND) | st.integers(0, 10**6), st.integers(0, 45)), max_size=12
)


class _Caller:
    """Somebody with limits, in one backend."""

    def __init__(self, backend: SimpleNamespace, limits: list[tuple[str, int, int, int]]) -> None:
        self.now = 0
        headers = RateHeaders(
            RatePolicy(name, quota, window, burst=burst) for name, quota, window, burst in limits
        )
        self.headers = headers
        buckets = [
            backend.TokenBucket(quota / window, burst, clock=lambda: self.now)
            for _, quota, window, burst in limits
        ]
        self.allowance: Any = backend.Allowance([(bucket, "caller") for bucket in buckets], headers)


@given(st.lists(_limits, min_size=1, max_size=4, unique_by=lambda limit: limit[0]), _histories)
def test_allowances(limits: list[tuple[str, int, int, int]], history: list[tuple[int, int]]) -> None:
    """The same requests are let through, and the same is said of them; lines are those of the decisions."""
    native, pure = _Caller(NATIVE, limits), _Caller(PURE, limits)
    for passed, cost in history:
        native.now += passed
        pure.now += passed
        told = native.allowance.take(cost)
        assert told == pure.allowance.take(cost)
        stands = native.allowance.check(0)
        assert stands == pure.allowance.check(0)
        if isinstance(told, bytes):
            assert told == native.headers.lines(stands)
        else:
            assert not all(decision.allowed for decision in told)
            assert {type(decision) for decision in told} == {Decision}
