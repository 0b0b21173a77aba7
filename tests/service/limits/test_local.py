"""Limits that one host keeps by itself."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits.interface import Limit
from core.limits.local import LocalLimiter, bucket_key, table_file
from core.limits.quota import Quota
from sigil_native import InvalidOptionError

USER = Quota(limit=10, window=10, burst=10)
TENANT = Quota(limit=25, window=10, burst=25)
SECOND = 1_000_000_000


class Clock:
    """A clock in nanoseconds that tests turn."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        """The time."""
        return self.now


def request_limits(user: str, tenant: str = "acme") -> list[Limit]:
    """The limits of a user's request."""
    return [Limit("user", user, USER), Limit("tenant", tenant, TENANT)]


async def test_all_limits_allow_or_none_counts() -> None:
    """A request that its tenant may not make costs its user nothing, and the other way round."""
    limiter = LocalLimiter(clock=Clock())
    for name in ("ann", "bob"):
        decisions = await limiter.take("acme", request_limits(name), 10)
        assert all(decision.allowed for decision in decisions)
    user, tenant = await limiter.take("acme", request_limits("ann"), 1)
    assert (user.allowed, user.retry_after) == (False, 1.0)
    assert (tenant.allowed, tenant.remaining, tenant.limit) == (True, 5, 25)
    user, tenant = await limiter.take("acme", request_limits("cid"), 6)
    assert (user.allowed, user.remaining, user.reset_after) == (True, 10, 0.0)
    assert (tenant.allowed, tenant.remaining, tenant.retry_after) == (False, 5, 0.4)
    user, tenant = await limiter.take("acme", request_limits("cid"), 5)
    assert (user.allowed, user.remaining, tenant.allowed, tenant.remaining) == (True, 5, True, 0)


async def test_decisions_agree_with_the_next_request() -> None:
    """The request is refused just before ``retry_after`` has passed, and allowed after it."""
    clock = Clock()
    limiter = LocalLimiter(clock=clock)
    await limiter.take("acme", request_limits("ann"), 9)
    (refused, _) = await limiter.take("acme", request_limits("ann"), 4)
    assert not refused.allowed
    clock.now += int(refused.retry_after * SECOND) - 10
    assert not (await limiter.take("acme", request_limits("ann"), 4))[0].allowed
    clock.now += 10
    assert (await limiter.take("acme", request_limits("ann"), 4))[0].allowed


async def test_cost_nothing_only_looks() -> None:
    """A cost of 0 is always allowed and takes nothing; a negative one is refused."""
    limiter = LocalLimiter(clock=Clock())
    for _ in range(30):
        decisions = await limiter.take("acme", request_limits("ann"), 0)
        assert [decision.remaining for decision in decisions] == [10, 25]
    with pytest.raises(InvalidOptionError):
        await limiter.take("acme", request_limits("ann"), -1)


async def test_more_than_a_bucket_holds() -> None:
    """What costs more than a full bucket holds is never allowed, and counts nowhere."""
    limiter = LocalLimiter(clock=Clock())
    user, tenant = await limiter.take("acme", request_limits("ann"), 11)
    assert (user.allowed, user.retry_after, user.remaining) == (False, float("inf"), 10)
    assert (tenant.allowed, tenant.remaining) == (True, 25)


async def test_charges_take_what_is_there() -> None:
    """What somebody else granted empties a bucket, and no further than that."""
    clock = Clock()
    limiter = LocalLimiter(clock=clock)
    limits = request_limits("ann")
    limiter.charge("acme", limits, 7)
    assert [decision.remaining for decision in await limiter.take("acme", limits, 0)] == [3, 18]
    limiter.charge("acme", limits, 7)
    assert [decision.remaining for decision in await limiter.take("acme", limits, 0)] == [0, 11]
    clock.now += SECOND
    assert (await limiter.take("acme", limits, 1))[0].allowed


async def test_few_tables_are_kept() -> None:
    """Any number of quotas opens a bounded number of tables, and the others still work."""
    limiter = LocalLimiter(clock=Clock(), tables=3, capacity=16)
    for burst in range(1, 20):
        (decision,) = await limiter.take("acme", [Limit("user", "ann", Quota(1, 10, burst))], 1)
        assert (decision.allowed, decision.remaining) == (True, burst - 1)
    assert limiter.live_keys() == 3
    await limiter.close()
    assert limiter.live_keys() == 0


async def test_full_tables_follow_their_policy() -> None:
    """New keys are refused or allowed while a table has no room, as configured, and counted."""
    for when_full, expected in (("refuse", False), ("allow", True)):
        limiter = LocalLimiter(capacity=2, when_full=when_full, clock=Clock())  # type: ignore[arg-type]
        # A table has room for more keys than it promises.
        for number in range(1000):
            await limiter.take("acme", [Limit("user", f"user {number}", USER)], 1)
        before = limiter.full
        (decision,) = await limiter.take("acme", [Limit("user", "cid", USER)], 1)
        assert (decision.allowed, limiter.full) == (expected, before + 1)


_names = st.text(st.characters(), max_size=6) | st.text("0:1{}", max_size=4)


@given(st.tuples(_names, _names), st.tuples(_names, _names))
def test_keys_never_collide(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two pairs of a group and a key have one bucket only if they are the same."""
    assert (bucket_key(*one) == bucket_key(*other)) == (one == other)


def test_files_are_told_apart() -> None:
    """Each limit, quota and capacity has a file of its own, right in the folder, whatever the name is."""
    folder = Path("/folder")
    names = ["user", "tenant", "", "..", "../user", "a/b", "a%2Fb", "user-1", "\ud800", "ü"]
    quotas = [Quota(1, 10, 5), Quota(11, 0, 5), Quota(1, 1, 5), Quota(1, 10, 6)]
    files = [table_file(folder, name, quota, size) for name in names for quota in quotas for size in (1, 2)]
    assert len(set(files)) == len(files)
    assert all(file.parent == folder and file.suffix == ".buckets" for file in files)


def test_figures_are_read_while_tables_move() -> None:
    """Another thread may ask for the figures of all tables while requests are counted."""
    limiter = LocalLimiter(capacity=64)
    limits = [(Limit(f"limit-{number}", "key", USER),) for number in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(lambda: [limiter.full + limiter.capacity for _ in range(2000)])
            while not looking.done():
                for one in limits:
                    limiter.take_now("group", one, 0)
            assert len(looking.result()) == 2000
    finally:
        sys.setswitchinterval(before)
