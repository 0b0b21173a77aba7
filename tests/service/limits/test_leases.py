"""Leased tokens, from a real Redis."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence

import pytest

from core.limits.interface import Limit
from core.limits.leases import Leases
from core.limits.quota import Quota
from core.limits.redis_limiter import RedisLimiter
from servers.redis import RedisServer
from sigil_native import Decision
from tests.heavy import HEAVY

PATIENT = 5.0
#: Seconds for which the bound is tried.
SPAN = 5.0 if HEAVY else 0.4
SLOW = Quota(limit=200, window=3600, burst=200)

_groups = (f"lease {number}" for number in itertools.count())


async def test_no_request_is_lost_to_leases(shared_redis: RedisServer) -> None:
    """One process gets every token of a bucket, one by one and in larger pieces, and then is refused."""
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, lease=50, lease_time=60.0)
    group = next(_groups)
    limits = [Limit("user", "ann", SLOW), Limit("tenant", "acme", Quota(1000, 3600, 1000))]
    left = 200
    for cost in itertools.chain([1] * 30, itertools.cycle([7, 1, 3])):
        decisions = await limiter.take(group, limits, min(cost, left))
        assert all(decision.allowed for decision in decisions)
        left -= min(cost, left)
        assert [decision.remaining for decision in decisions] == [left, left + 800]
        if left == 0:
            break
    user, tenant = await limiter.take(group, limits, 2)
    assert (user.allowed, tenant.allowed) == (False, True)
    assert 34 < user.retry_after <= 36
    assert (user.remaining, tenant.remaining) == (0, 800)
    (never,) = await limiter.take(group, limits[:1], 201)
    assert (never.allowed, never.retry_after) == (False, float("inf"))
    await limiter.close()


async def test_leases_save_calls(shared_redis: RedisServer) -> None:
    """A process asks about once for each lease, and looking costs nothing."""
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, lease=20, lease_time=60.0)
    limits = [Limit("user", "ann", SLOW)]
    group = next(_groups)
    with shared_redis.client() as client:
        client.config_resetstat()
        for _ in range(105):
            assert (await limiter.take(group, limits, 1))[0].allowed
        asked = client.info("commandstats")["cmdstat_fcall"]["calls"]
    assert asked <= 7
    (decision,) = await limiter.take(group, limits, 0)
    assert decision.remaining == 95
    await limiter.close()


async def test_unused_tokens_are_forgotten(shared_redis: RedisServer) -> None:
    """After the lease's time, its tokens are asked for again, so that none is used late."""
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, lease=20, lease_time=0.05)
    limits = [Limit("user", "ann", SLOW)]
    group = next(_groups)
    (decision,) = await limiter.take(group, limits, 1)
    assert decision.remaining == 199
    await asyncio.sleep(0.1)
    (decision,) = await limiter.take(group, limits, 0)
    assert decision.remaining == 179
    await limiter.close()


@pytest.mark.parametrize("processes", [1, 4])
async def test_the_bound(shared_redis: RedisServer, processes: int) -> None:
    """In no span is more of a limit granted than ``burst + rate * span + processes * lease``."""
    lease = 10
    user, tenant = Quota(limit=300, window=1, burst=100), Quota(limit=400, window=1, burst=150)
    hosts = [
        RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, connections=4, lease=lease, lease_time=0.1)
        for _ in range(processes)
    ]
    group = next(_groups)
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    granted: list[tuple[float, float, str, int]] = []
    end = time.monotonic() + SPAN

    async def caller(host: RedisLimiter, key: str) -> None:
        while time.monotonic() < end:
            cost = chance.choice([1, 1, 1, 2, 5, 12])
            begin = time.monotonic()
            decisions = await host.take(
                group, [Limit("user", key, user), Limit("tenant", "acme", tenant)], cost
            )
            if all(decision.allowed for decision in decisions):
                granted.append((begin, time.monotonic(), key, cost))
            await asyncio.sleep(chance.uniform(0, 0.004))

    await asyncio.gather(*(caller(host, key) for host in hosts for key in "abc" for _ in range(2)))
    for key, quota in (("a", user), ("b", user), ("c", user), ("", tenant)):
        mine = [(begin, ended, cost) for begin, ended, whose, cost in granted if key in ("", whose)]
        assert mine
        for begin, _, _ in mine[:: max(len(mine) // 40, 1)]:
            for _, ended, _ in mine[:: max(len(mine) // 40, 1)]:
                total = sum(cost for first, last, cost in mine if first >= begin and last <= ended)
                bound = quota.burst + quota.rate * max(ended - begin, 0) + processes * lease
                assert total <= bound + 1e-6
    for host in hosts:
        await host.close()


async def test_failed_calls_give_back(shared_redis: RedisServer) -> None:
    """Tokens that were set aside for a call that failed, or was refused or given up, can be spent later."""
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, lease=20, lease_time=60.0)
    group = next(_groups)
    small = Limit("tenant", "acme", Quota(1, 3600, 1))
    limits = [Limit("user", "ann", SLOW)]
    await limiter.take(group, limits, 1)
    for _ in range(5):
        user, tenant = await limiter.take(group, [*limits, small], 1)
        if not tenant.allowed:
            assert user.remaining == 198
    task = asyncio.create_task(limiter.take(group, [*limits, small], 1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (user,) = await limiter.take(group, limits, 18)
    assert (user.allowed, user.remaining) == (True, 180)
    await limiter.close()


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys there are, leases are kept of a bounded number, those used last."""
    monkeypatch.setattr("core.limits.leases._MOST", 10)
    asked = []

    async def ask(
        group: str, limits: object, needs: object, batches: object
    ) -> tuple[int, list[tuple[bool, int]]]:
        asked.append(group)
        return 2, [(True, 0)]

    leases = Leases(ask, 20, 60.0)
    for number in range(100):
        await leases.take("acme", [Limit("user", str(number), SLOW)], 1)
    assert len(leases) == 10
    assert len(asked) == 100
    await leases.take("acme", [Limit("user", "99", SLOW)], 1)
    assert len(asked) == 100


async def test_calls_under_way_count() -> None:
    """Tokens that may come, and tokens that may come back, are part of what a process may hold."""
    answers: list[asyncio.Future[int]] = []
    batches: list[list[int]] = []

    async def ask(
        group: str, limits: Sequence[Limit], needs: Sequence[int], wanted: Sequence[int]
    ) -> tuple[int, list[tuple[bool, int]]]:
        batches.append(list(wanted))
        answers.append(asyncio.get_running_loop().create_future())
        taken = await answers[-1]
        return taken, [(taken > 0, 0) for _ in limits]

    leases = Leases(ask, 20, 60.0)
    user, tenant = Limit("user", "ann", SLOW), Limit("tenant", "acme", SLOW)

    async def begin(limits: list[Limit], cost: int) -> asyncio.Task[list[Decision]]:
        task = asyncio.create_task(leases.take("acme", limits, cost))
        await asyncio.sleep(0)
        return task

    # Two at once for one limit: the second takes no lease.
    first, second = await begin([tenant], 1), await begin([tenant], 1)
    assert batches == [[20], [0]]
    for answer in answers:
        answer.set_result(2)
    await asyncio.gather(first, second)
    # 5 of the tenant's 20 are set aside for a call that is refused later; another spends the rest meanwhile.
    refused = await begin([user, tenant], 5)
    assert batches[-1] == [20, 0]
    granted = await begin([tenant], 16)
    assert batches[-1] == [15]
    answers[-1].set_result(2)
    await granted
    answers[-2].set_result(0)
    await refused
    # All 20 are there, and no more.
    asked = len(answers)
    await leases.take("acme", [tenant], 20)
    assert len(answers) == asked
    last = await begin([tenant], 1)
    assert len(answers) == asked + 1
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
