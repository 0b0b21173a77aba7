"""Token buckets against exact arithmetic: whatever happens, in every home that they have."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.backends import load_backend
from tests.token_bucket_model import TokenBucketModel

TICK = Fraction(1, 10**9)
KEYS = st.sampled_from(["a", "b", "c"])


class BucketMachine(RuleBasedStateMachine):
    """Requests at any moments, and a model that is told what was granted."""

    home: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.folder = tempfile.TemporaryDirectory()
        self.models: dict[str, TokenBucketModel] = {}

    @initialize(
        rate=st.floats(0.01, 1e7, allow_subnormal=False) | st.integers(1, 10**6), burst=st.integers(1, 500)
    )
    def begin(self, rate: float, burst: int) -> None:
        """Full buckets for all."""
        self.rate, self.burst = Fraction(rate), burst
        options: dict[str, Any] = {"clock": lambda: self.now}
        if self.home == "shared":
            options["path"] = Path(self.folder.name) / "table"
            options["capacity"] = 100
        kind = load_backend("pure" if self.home == "pure" else "native").TokenBucket
        # Workers that share a table; elsewhere one bucket does for all.
        self.buckets = [kind(rate, burst, **options)]
        self.buckets += [kind(rate, burst, **options) if self.home == "shared" else self.buckets[0]]

    def model(self, key: str) -> TokenBucketModel:
        """The exact bucket of a key."""
        return self.models.setdefault(key, TokenBucketModel(self.rate, self.burst))

    @rule(nanoseconds=st.integers(0, 10**10) | st.integers(0, 3))
    def wait(self, nanoseconds: int) -> None:
        """Let time pass."""
        self.now += nanoseconds

    @rule(key=KEYS, cost=st.integers(1, 500) | st.integers(1, 3), missing=st.integers(-2, 2))
    def wait_for(self, key: str, cost: int, missing: int) -> None:
        """Let time pass until just before, or just after, the tokens are there."""
        if cost <= self.burst:
            exact = self.model(key).wait(Fraction(self.now, 10**9), cost)
            self.now = max(self.now, self.now + int(exact * 10**9) + missing)

    @rule(key=KEYS, cost=st.integers(1, 500) | st.integers(1, 3), worker=st.integers(0, 1))
    def ask(self, key: str, cost: int, worker: int) -> None:
        """Nothing is granted more than a tick too early, nothing refused that exact arithmetic grants."""
        now, model = Fraction(self.now, 10**9), self.model(key)
        # Of what was charged a tick too early, the tick may be missing from then on.
        early = model.tokens_at(now) + 2 * TICK * self.rate
        exact = model.tokens_at(now)
        decision = self.buckets[worker].check(key, cost)
        if decision.allowed:
            assert cost <= early
            model.charge(now, cost)
        else:
            assert cost > exact
        left = model.tokens_at(now)
        assert left - TICK * self.rate < decision.remaining + 1
        assert decision.remaining <= max(left, Fraction(0)) + 2 * TICK * self.rate

    @rule(key=KEYS, cost=st.integers(1, 100))
    def give_back(self, key: str, cost: int) -> None:
        """Take and give back: as if nothing had been."""
        before = self.buckets[0].check(key, 0)
        if self.buckets[0].acquire(key, cost):
            self.buckets[1].refund(key, cost)
            assert self.buckets[1].check(key, 0) == before

    def teardown(self) -> None:
        """Remove the file."""
        self.folder.cleanup()


@pytest.mark.parametrize("home", ["memory", "shared", "pure"])
def test_buckets_keep_to_exact_arithmetic(home: str) -> None:
    """The same machine holds for memory of the process, for a shared table, and for the dict."""
    machine = cast("type[BucketMachine]", type(f"{home.title()}Machine", (BucketMachine,), {"home": home}))
    base = settings()
    examples = max(base.max_examples // 3, 8)
    run_state_machine_as_test(machine, settings=settings(base, stateful_step_count=40, max_examples=examples))
