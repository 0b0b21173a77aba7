"""The Redis function against a token bucket in exact arithmetic. The tests own the clock."""

from __future__ import annotations

import asyncio
import itertools
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from core.limits.interface import Limit
from core.limits.quota import Quota
from core.limits.redis_limiter import RedisLimiter
from servers.redis import RedisServer
from sigil_native import Decision
from tests.heavy import HEAVY
from tests.token_bucket_model import TokenBucketModel

#: One tick of the clock: a microsecond.
TICK = Fraction(1, 1_000_000)
START = 1_700_000_000_000_000

_numbers = itertools.count()
# Windows are long enough for keys to outlive a test, whose clock is not the server's.
_quotas = st.builds(
    Quota,
    limit=st.one_of(st.sampled_from([1, 3, 7, 200, 999_983]), st.integers(1, 2_000_000)),
    window=st.integers(10, 3600),
    burst=st.integers(1, 50),
)
_costs = st.sampled_from([0, 1, 1, 1, 2, 3, 7, 20, 51])


class Turned:
    """A clock that tests turn, in microseconds."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = START

    def __call__(self) -> int:
        """The time."""
        return self.now


class LimiterMachine(RuleBasedStateMachine):
    """A user's and a tenant's limit, taken together and one by one."""

    url = ""

    def __init__(self) -> None:
        """Begin with full buckets."""
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Turned()
        self.group = f"machine {next(_numbers)}"
        self.limiter = RedisLimiter.from_url(self.url, timeout=5.0, client_time=True, clock=self.clock)

    @initialize(user=_quotas, tenant=_quotas)
    def begin(self, user: Quota, tenant: Quota) -> None:
        """Choose the quotas."""
        self.limits = [Limit("user", "ann", user), Limit("tenant", "acme", tenant)]
        self.models = [self.model(quota) for quota in (user, tenant)]

    @staticmethod
    def model(quota: Quota) -> TokenBucketModel:
        """What a quota means."""
        return TokenBucketModel(Fraction(quota.limit, quota.window), quota.burst)

    @property
    def now(self) -> Fraction:
        """The time in seconds."""
        return self.clock.now * TICK

    def take(self, limits: list[Limit], cost: int) -> list[Decision]:
        """Ask the limiter."""
        return self.runner.run(self.limiter.take(self.group, limits, cost))

    @rule(micros=st.one_of(st.integers(0, 5), st.integers(0, 10**6), st.integers(0, 10**8)))
    def time_passes(self, micros: int) -> None:
        """Let time pass."""
        self.clock.now += micros

    @rule(cost=_costs, which=st.sampled_from([[0, 1], [0, 1], [0], [1], [1, 0]]))
    def request(self, cost: int, which: list[int]) -> None:
        """A request is granted exactly if all its limits' models have the tokens."""
        limits, models = [self.limits[index] for index in which], [self.models[index] for index in which]
        expected = [cost == 0 or model.tokens_at(self.now) >= cost for model in models]
        decisions = self.take(limits, cost)
        assert [decision.allowed for decision in decisions] == expected
        if all(expected):
            for model in models:
                model.charge(self.now, cost)
        for decision, model in zip(decisions, models, strict=True):
            assert decision.limit == model.burst
            assert decision.remaining == max(int(model.tokens_at(self.now)), 0)
            wait = decision.retry_after
            assert wait == 0 if decision.allowed else wait == float("inf") if cost > model.burst else wait > 0

    @rule(cost=_costs, which=st.sampled_from([0, 1]))
    def wait_as_told(self, cost: int, which: int) -> None:
        """A request that is refused is so until a tick before ``retry_after``, and granted then."""
        limit, model = self.limits[which], self.models[which]
        (decision,) = self.take([limit], cost)
        if decision.allowed:
            model.charge(self.now, cost)
        elif decision.retry_after != float("inf"):
            micros = round(decision.retry_after * 1_000_000)
            self.clock.now += micros - 1
            assert not self.take([limit], cost)[0].allowed
            self.clock.now += 1
            assert model.take(self.now, cost)
            assert self.take([limit], cost)[0].allowed

    @rule(which=st.sampled_from([0, 1]))
    def fill_up(self, which: int) -> None:
        """The bucket is full after ``reset_after``, and not a tick before."""
        (decision,) = self.take([self.limits[which]], 0)
        micros = round(decision.reset_after * 1_000_000)
        if micros:
            self.clock.now += micros - 1
            assert self.models[which].tokens_at(self.now) < self.models[which].burst
            assert self.take([self.limits[which]], 0)[0].reset_after == pytest.approx(1e-6)
            self.clock.now += 1
        assert self.models[which].tokens_at(self.now) == self.models[which].burst
        assert self.take([self.limits[which]], 0)[0].reset_after == 0

    @invariant()
    def available(self) -> None:
        """Nothing of this takes Redis away."""
        assert self.limiter.condition == "ok"

    def teardown(self) -> None:
        """Give up the connection."""
        self.runner.run(self.limiter.close())
        self.runner.close()


def test_the_function_is_a_token_bucket(shared_redis: RedisServer) -> None:
    """Whatever is asked and however time passes, Redis decides as exact arithmetic does."""
    LimiterMachine.url = shared_redis.url
    steps = settings(max_examples=1000 if HEAVY else 12, stateful_step_count=50 if HEAVY else 20)
    run_state_machine_as_test(LimiterMachine, settings=steps)


def test_nothing_drifts(shared_redis: RedisServer) -> None:
    """A rate that no number of microseconds divides is kept to the token over many requests."""
    clock = Turned()
    quota = Quota(limit=7, window=3600, burst=7)
    limits = [Limit("user", "ann", quota)]

    async def run() -> None:
        limiter = RedisLimiter.from_url(shared_redis.url, timeout=5.0, client_time=True, clock=clock)
        group = f"drift {next(_numbers)}"
        await limiter.take(group, limits, 7)
        for turn in range(1, 1001 if HEAVY else 201):
            # The first microsecond in which the turn's token is there.
            clock.now = START - (-turn * quota.window * 1_000_000 // quota.limit) - 1
            assert not (await limiter.take(group, limits, 1))[0].allowed
            clock.now += 1
            assert (await limiter.take(group, limits, 1))[0].allowed
        await limiter.close()

    asyncio.run(run())


@pytest.mark.parametrize("step", [-(10**12), -3_000_000, -1, 1, 3_000_000, 10**12])
async def test_clock_steps(shared_redis: RedisServer, step: int) -> None:
    """A clock that is set gives one burst more at most, and starves nobody longer than a bucket fills."""
    clock = Turned()
    quota = Quota(limit=10, window=10, burst=10)
    limits = [Limit("user", "ann", quota)]
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=5.0, client_time=True, clock=clock)
    group = f"step {next(_numbers)}"
    granted = 0
    for second in range(60):
        if second == 30:
            clock.now += step
        clock.now += 1_000_000
        for _ in range(12 if second in {0, 30} else 2):
            granted += (await limiter.take(group, limits, 1))[0].allowed
        if second == 41:
            late = granted
    # Without the step, 10 at once and 1 a second: 69.
    assert granted <= 69 + 10
    assert granted >= 69 - 10
    assert granted - late == 18
    await limiter.close()


async def test_another_quota_rounds_up(shared_redis: RedisServer) -> None:
    """Parts of a microsecond mean nothing to another quota: they count as one, which is the longer wait."""
    clock = Turned()
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=5.0, client_time=True, clock=clock)
    group = f"another {next(_numbers)}"
    (decision,) = await limiter.take(group, [Limit("user", "ann", Quota(999_983, 1000, 50))], 1)
    assert decision.reset_after == pytest.approx(0.001001, abs=1e-9)
    for limit in (1, 7, 999_979):
        (decision,) = await limiter.take(group, [Limit("user", "ann", Quota(limit, 1000, 50))], 0)
        assert decision.reset_after == pytest.approx(0.001001, abs=1e-9)
    await limiter.close()
