"""What becomes of requests while Redis is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import LimiterUnavailableError
from core.limits.interface import Limit
from core.limits.local import LocalLimiter
from core.limits.outage import OutageLimiter
from core.limits.quota import Quota, share_of
from core.limits.redis_limiter import RedisLimiter
from servers.redis import RedisServer

USER = Quota(limit=200, window=3600, burst=200)
LIMITS = [Limit("user", "ann", USER)]


class Outage:
    """A limiter whose server tests take away, and what it tells."""

    def __init__(self, server: RedisServer) -> None:
        """Half of each limit for this host."""
        self.server = server
        self.changes: list[tuple[str, frozenset[str]]] = []
        self.limiter = OutageLimiter(
            RedisLimiter.from_url(server.url, timeout=5.0, pause=0.05, failures=2),
            LocalLimiter(),
            {"write": "local", "admin": "deny", "read": "allow"},
            share=0.5,
            on_change=lambda condition, failing: self.changes.append((condition, failing)),
        )

    async def until(self, condition: str) -> None:
        """Wait for a condition."""
        end = time.monotonic() + 20
        while self.limiter.condition != condition:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)


@pytest.fixture
async def outage(redis_server: RedisServer) -> AsyncIterator[Outage]:
    """A limiter and its server."""
    made = Outage(redis_server)
    yield made
    await made.limiter.close()


async def test_policies_and_the_way_back(outage: Outage) -> None:
    """Each class of routes has its policy; a change is told once, and the way back needs no request."""
    view = outage.limiter.view
    answer = await view("write").take("acme", LIMITS, 1)
    assert (answer.source, answer[0].remaining, answer[0].limit) == ("shared", 199, 200)
    with capture_logs() as logs:
        outage.server.kill()
        for _ in range(5):
            answer = await view("write").take("acme", LIMITS, 1)
            assert (answer.source, answer[0].limit) == ("local", 100)
            answer = await view("read").take("acme", LIMITS, 1000)
            assert answer.source == "allow"
            assert answer[0] == (True, 200, 200, 0.0, 0.0)
            with pytest.raises(LimiterUnavailableError) as caught:
                await view("admin").take("acme", LIMITS, 1)
        assert caught.value.reason == "open"
        assert outage.limiter.condition == "degraded"
        outage.server.start()
        await outage.until("ok")
    name = f"127.0.0.1:{outage.server.port}"
    assert [(log["event"], list(log["nodes"])) for log in logs] == [
        ("redis for rate limits failing", [name]),
        ("redis for rate limits works again", [name]),
    ]
    assert "connect" in logs[0]["nodes"][name].lower()
    assert outage.changes == [("degraded", frozenset({name})), ("ok", frozenset())]
    assert outage.limiter.nodes == {name: "closed"}
    answer = await view("write").take("acme", LIMITS, 1)
    assert answer.source == "shared"
    with pytest.raises(KeyError):
        view("unknown")


async def test_an_outage_is_noticed_while_nobody_asks(outage: Outage) -> None:
    """Readiness and metrics know that Redis is away, and that it is back, before a request needs it."""
    outage.server.kill()
    outage.limiter.start()
    await outage.until("degraded")
    outage.server.start()
    await outage.until("ok")
    assert [condition for condition, _ in outage.changes] == ["degraded", "ok"]


async def test_answers_of_somebody_else(outage: Outage) -> None:
    """What answers under the function's name, and is not it, counts as failing, and the log tells."""
    source = "#!lua name=other\nredis.register_function('sigil_take_1', function() return 'junk' end)"
    with outage.server.client() as client:
        client.function_flush()
        client.function_load(source)
    with capture_logs() as logs:
        for _ in range(3):
            answer = await outage.limiter.view("write").take("acme", LIMITS, 1)
            assert answer.source == "local"
        assert outage.limiter.condition == "degraded"
    assert list(logs[0]["nodes"].values()) == ["an answer that is not the function's"]
    with outage.server.client() as client:
        client.function_flush()
    await outage.until("ok")


async def test_no_fresh_burst(outage: Outage) -> None:
    """What Redis granted is missing in this host's buckets too; a share allows no more than its burst."""
    view = outage.limiter.view("write")
    await view.take("acme", LIMITS, 70)
    await view.take("acme", [Limit("user", "bob", USER)], 199)
    outage.server.kill()
    answer = await view.take("acme", LIMITS, 0)
    assert (answer.source, answer[0].remaining) == ("local", 30)
    (bob,) = await view.take("acme", [Limit("user", "bob", USER)], 1)
    assert (bob.allowed, bob.limit) == (False, 100)
    assert 35 < bob.retry_after <= 36
    # More than the share ever holds: when Redis is back. More than the limit holds: never.
    (cid,) = await view.take("acme", [Limit("user", "cid", USER)], 150)
    assert (cid.allowed, cid.retry_after) == (False, 2.0)
    (cid,) = await view.take("acme", [Limit("user", "cid", USER)], 201)
    assert (cid.allowed, cid.retry_after) == (False, float("inf"))


async def test_refused_requests_are_not_charged(outage: Outage) -> None:
    """A request that Redis refuses, or that only looks, costs nothing in this host's buckets."""
    view = outage.limiter.view("write")
    await view.take("acme", LIMITS, 0)
    small = Limit("tenant", "acme", Quota(1, 3600, 1))
    assert not all(decision.allowed for decision in await view.take("acme", [*LIMITS, small], 2))
    outage.server.kill()
    (decision,) = await view.take("acme", LIMITS, 0)
    assert decision.remaining == 100


async def test_a_broken_folder(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buckets that cannot be used are told of once, fail no request that Redis grants, and then deny."""
    local = LocalLimiter(tmp_path)

    def broken(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr("core.limits.local.TokenBucket", broken)
    limiter = OutageLimiter(
        RedisLimiter.from_url(redis_server.url, timeout=5.0), local, {"write": "local"}, share=1
    )
    with capture_logs() as logs:
        for _ in range(3):
            assert (await limiter.view("write").take("acme", LIMITS, 1)).source == "shared"
    assert [log["event"] for log in logs] == ["local rate limits failing"]
    redis_server.kill()
    with pytest.raises(LimiterUnavailableError, match="file"):
        await limiter.view("write").take("acme", LIMITS, 1)
    await limiter.close()


def test_shares() -> None:
    """A share is a part of rate and burst, at least one token at once."""
    half = share_of(USER, Fraction(1, 2))
    assert (half.burst, half.rate) == (100, USER.rate / 2)
    third = share_of(Quota(1, 7, 1), Fraction(333, 1000))
    assert third.burst == 1
    assert third.rate == pytest.approx(0.333 / 7)
    for share in (0, -1, 1.1, float("nan"), 0.0001):
        with pytest.raises(ValueError, match="share"):
            OutageLimiter(RedisLimiter.from_url("redis://localhost"), LocalLimiter(), {}, share=share)
    with pytest.raises(ValueError, match="no policy: maybe"):
        OutageLimiter(RedisLimiter.from_url("redis://localhost"), LocalLimiter(), {"a": "maybe"})  # type: ignore[dict-item]
