"""Header fields of rate limits, against what the requests after them experience."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native import Allowance, Decision, TokenBucket
from sigil_native._rate_headers import RateHeaders, RatePolicy
from sigil_native.errors import InvalidOptionError

_SECOND = 10**9
#: Nanoseconds that are nothing to a caller.
_TICK = 2

#: Quota, window and burst of a limit.
_quotas = st.tuples(st.integers(1, 300), st.integers(1, 60), st.integers(1, 40))
#: Nanoseconds that pass, and what a request costs after them.
_histories = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 20 * _SECOND), st.integers(0, 20).map(_SECOND.__mul__)), st.integers(0, 45)
    ),
    min_size=1,
    max_size=8,
)


class _Buckets:
    """Buckets of one caller, of which a request takes from all or none."""

    def __init__(self, quotas: list[tuple[int, int, int]]) -> None:
        self.now = 0
        self.buckets = [
            TokenBucket(quota / window, burst, clock=lambda: self.now) for quota, window, burst in quotas
        ]
        self._allowance = Allowance([(bucket, "caller") for bucket in self.buckets])
        self.headers = RateHeaders(
            RatePolicy(f"limit-{number}", quota, window, burst=burst)
            for number, (quota, window, burst) in enumerate(quotas)
        )

    def take(self, cost: int) -> list[Decision]:
        """A request."""
        return self._allowance.check(cost)

    def allows(self, cost: int) -> bool:
        """A request; whether it was allowed."""
        return all(decision.allowed for decision in self.take(cost))


def _after(
    quotas: list[tuple[int, int, int]], history: list[tuple[int, int]], seconds: int = 0, tick: int = 0
) -> tuple[_Buckets, list[Decision]]:
    """Buckets so many seconds after a history, and the decision on its last request."""
    buckets = _Buckets(quotas)
    decisions: list[Decision] = []
    for passed, cost in history:
        buckets.now += passed
        decisions = buckets.take(cost)
    buckets.now += seconds * _SECOND + tick
    return buckets, decisions


def _read(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    names = [name for name, _ in fields]
    assert len(set(names)) == len(names)
    return {name.decode(): value.decode() for name, value in fields}


def _items(value: str) -> Iterator[tuple[str, int, int]]:
    for item in value.split(", "):
        found = re.fullmatch(r'"([^"]+)";r=(\d+);t=(\d+)', item)
        assert found is not None
        yield found[1], int(found[2]), int(found[3])


@given(st.lists(_quotas, min_size=1, max_size=3), _histories)
def test_fields_foretell_what_follows(
    quotas: list[tuple[int, int, int]], history: list[tuple[int, int]]
) -> None:
    """Remaining, Retry-After, Reset, r and t are what the next requests meet; none is needlessly strict."""
    buckets, decisions = _after(quotas, history)
    fields = _read(buckets.headers.fields(decisions))
    remaining, reset = int(fields["x-ratelimit-remaining"]), int(fields["x-ratelimit-reset"])
    assert [buckets.allows(1) for _ in range(remaining + 1)] == [True] * remaining + [False]

    tightest = next(
        number
        for number, decision in enumerate(decisions)
        if decision.limit == int(fields["x-ratelimit-limit"]) and decision.remaining == remaining
    )
    burst = quotas[tightest][2]
    if decisions[tightest].reset_after == min(
        d.reset_after for d in decisions if (d.limit, d.remaining) == (burst, remaining)
    ):
        later, _ = _after(quotas, history, reset, _TICK)
        assert later.buckets[tightest].check("caller", burst).allowed

    cost = history[-1][1]
    wait = int(fields["retry-after"]) if "retry-after" in fields else None
    assert (wait is None) == (all(d.allowed for d in decisions) or cost > min(q[2] for q in quotas))
    if wait is not None:
        assert wait == 1 or not _after(quotas, history, wait - 1, -_TICK)[0].allows(cost)
        assert _after(quotas, history, wait, _TICK)[0].allows(cost)

    for number, (name, available, window) in enumerate(_items(fields["ratelimit"])):
        assert (name, available) == (f"limit-{number}", decisions[number].remaining)
        assert wait is None or window <= wait
        within = _after(quotas, history, max(window - 1, 0), -_TICK)[0].buckets[number].check("caller", 0)
        assert window == 1 or within.remaining <= available
        after = _after(quotas, history, window, _TICK)[0].buckets[number].check("caller", 0)
        assert after.remaining > available or available == after.limit or window == wait


@given(_quotas, _histories, st.integers(2, 60))
def test_refused_part_waits_for_the_whole(
    quota: tuple[int, int, int], history: list[tuple[int, int]], tokens: int
) -> None:
    """Whoever waits as a refusal of a request's last token says can take all of its tokens at once."""
    buckets, _ = _after([quota], history)
    (bucket,) = buckets.buckets
    taken = 0
    while taken < tokens and (decision := bucket.check("caller", 1)).allowed:
        taken += 1
    if taken == tokens:
        return
    refusal = buckets.headers.policies[0].refusal(decision, tokens)
    if tokens > quota[2]:
        assert refusal.retry_after == inf
        return
    wait = int(_read(buckets.headers.fields([refusal]))["retry-after"])
    buckets.now += wait * _SECOND + _TICK
    assert bucket.check("caller", tokens).allowed


def test_fields_have_their_exact_form() -> None:
    """Names are lower-case, several limits are one list, and X-RateLimit tells of the one that binds most."""
    headers = RateHeaders([RatePolicy("user", 200, 10), RatePolicy("tenant", 2000, 10, burst=3000)])
    allowed = [Decision(True, 200, 150, 0.0, 2.5), Decision(True, 3000, 2999, 0.0, 0.005)]
    assert headers.fields(allowed) == [
        (b"x-ratelimit-limit", b"200"),
        (b"x-ratelimit-remaining", b"150"),
        (b"x-ratelimit-reset", b"3"),
        (b"ratelimit-policy", b'"user";q=200;w=10, "tenant";q=2000;w=10;sigil-burst=3000'),
        (b"ratelimit", b'"user";r=150;t=1, "tenant";r=2999;t=1'),
    ]
    decision = TokenBucket(1 / 60, 1).check("caller")
    assert RateHeaders([RatePolicy("minute", 1, 60)]).fields([decision])[4] == (
        b"ratelimit",
        b'"minute";r=0;t=60',
    )
    refused = [allowed[0], Decision(False, 3000, 200, 4.2, 14.0)]
    assert dict(headers.fields(refused)) == {
        b"x-ratelimit-limit": b"3000",
        b"x-ratelimit-remaining": b"200",
        b"x-ratelimit-reset": b"14",
        b"ratelimit-policy": b'"user";q=200;w=10, "tenant";q=2000;w=10;sigil-burst=3000',
        b"ratelimit": b'"user";r=150;t=1, "tenant";r=200;t=1',
        b"retry-after": b"5",
    }


@given(st.lists(_quotas, min_size=1, max_size=3), _histories)
def test_lines_are_the_fields(quotas: list[tuple[int, int, int]], history: list[tuple[int, int]]) -> None:
    """What stands on the wire is what the fields say, in their order."""
    buckets, decisions = _after(quotas, history)
    fields = buckets.headers.fields(decisions)
    assert buckets.headers.lines(decisions) == b"".join(b"%b: %b\r\n" % field for field in fields)


def test_what_can_never_fit_is_not_worth_a_retry() -> None:
    """A request that costs more than a full bucket holds gets no Retry-After."""
    headers = RateHeaders([RatePolicy("user", 1, 60)])
    assert b"retry-after" not in dict(headers.fields([Decision(False, 1, 1, inf, 0.0)]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("", 1, 1),
        ('a"b', 1, 1),
        ("a\\b", 1, 1),
        ("é", 1, 1),
        ("a\nb", 1, 1),
        ("a", 0, 1),
        ("a", 1, 0),
        ("a", 10**15, 1),
    ],
)
def test_policies_that_no_field_can_say_are_refused(arguments: tuple[str, int, int]) -> None:
    """A name or number that is no string or integer of a structured field is a mistake of the program."""
    with pytest.raises(InvalidOptionError):
        RatePolicy(*arguments)


def test_limits_of_one_name_are_refused() -> None:
    """Callers could not tell them apart."""
    with pytest.raises(InvalidOptionError, match="of another name"):
        RateHeaders([RatePolicy("user", 1, 1), RatePolicy("user", 2, 1)])
    with pytest.raises(InvalidOptionError, match="one or more"):
        RateHeaders([])
