"""Limits that are kept by a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from core.errors import LimiterUnavailableError
from core.limits.interface import Limit
from core.limits.quota import Quota
from core.limits.redis_address import RedisAddress
from core.limits.redis_function import NAME, SOURCE, VERSION, hash_tag, keys_of, written
from core.limits.redis_limiter import RedisLimiter
from core.limits.terms import Terms
from servers.redis import RedisServer, free_ports
from sigil_native import InvalidOptionError

USER = Quota(limit=200, window=3600, burst=200)
TENANT = Quota(limit=1000, window=3600, burst=1000)
#: For tests of anything but time.
PATIENT = 20.0

_groups = (f"group {number}" for number in itertools.count())


@pytest.fixture
async def limiter(shared_redis: RedisServer) -> AsyncIterator[RedisLimiter]:
    """A limiter that waits as long as it takes."""
    made = RedisLimiter.from_url(shared_redis.url, timeout=PATIENT)
    yield made
    await made.close()


def test_the_version_goes_with_the_source() -> None:
    """Whoever changes the function gives it another version here, and then another digest."""
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()[:16]
    assert (VERSION, digest) == (1, "ae7bb2389d2aa3c0")
    assert SOURCE.startswith(f"#!lua name=sigil_limits_{VERSION}\n")
    assert f"'{NAME}'" in SOURCE


async def test_all_limits_allow_or_none_counts(limiter: RedisLimiter) -> None:
    """A request that one limit refuses counts in none; decisions tell how things stand afterwards."""
    group = next(_groups)
    limits = [Limit("user", "ann", USER), Limit("tenant", "acme", TENANT)]
    user, tenant = await limiter.take(group, limits, 150)
    assert (user.allowed, user.limit, user.remaining) == (True, 200, 50)
    assert (tenant.allowed, tenant.limit, tenant.remaining) == (True, 1000, 850)
    user, tenant = await limiter.take(group, limits, 60)
    assert (user.allowed, user.remaining, tenant.allowed, tenant.remaining) == (False, 50, True, 850)
    assert 170 < user.retry_after <= 180
    assert tenant.retry_after == 0.0
    user, tenant = await limiter.take(group, limits, 0)
    assert (user.allowed, user.remaining, tenant.remaining) == (True, 50, 850)
    assert 2690 < user.reset_after <= 2700
    user, tenant = await limiter.take(group, limits, 201)
    assert (user.allowed, user.retry_after, tenant.allowed) == (False, float("inf"), True)
    assert await limiter.take(group, [], 1) == []


async def test_keys_go_when_buckets_are_full(shared_redis: RedisServer, limiter: RedisLimiter) -> None:
    """A key lives as long as its bucket lacks something; looking makes none."""
    group = next(_groups)
    limits = [Limit("user", "ann", Quota(10, 1, 10))]
    with shared_redis.client() as client:
        await limiter.take(group, limits, 0)
        (key,) = keys_of(hash_tag(group), limits)
        assert client.exists(key) == 0
        await limiter.take(group, limits, 2)
        assert 150 < client.pttl(key) <= 202
        await asyncio.sleep(0.25)
        assert client.exists(key) == 0


async def test_two_hosts_share_one_limit(shared_redis: RedisServer) -> None:
    """Many callers over two clients get what one client may have, not twice as much."""
    hosts = [RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, connections=8) for _ in range(2)]
    group = next(_groups)
    limits = [Limit("user", "ann", USER)]

    async def ask(host: RedisLimiter) -> int:
        return sum([(await host.take(group, limits, 1))[0].allowed for _ in range(20)])

    granted = await asyncio.gather(*(ask(host) for host in hosts for _ in range(16)))
    assert sum(granted) == 200
    for host in hosts:
        await host.close()


async def test_garbage_heals(shared_redis: RedisServer, limiter: RedisLimiter) -> None:
    """A key that holds something else, of any kind, counts as a full bucket, and is one afterwards."""
    limits = [Limit("user", "ann", USER)]
    group = next(_groups)
    (key,) = keys_of(hash_tag(group), limits)
    with shared_redis.client() as client:
        for text in ("", "soon", "1 2", "-5 0 200", "1e300 0 1"):
            client.set(key, text)
            (decision,) = await limiter.take(group, limits, 1)
            assert decision.allowed, text
        client.delete(key)
        client.lpush(key, "x")
        for remaining in (199, 198):
            (decision,) = await limiter.take(group, limits, 1)
            assert decision.remaining == remaining


async def test_another_quota_takes_over_the_bucket(limiter: RedisLimiter) -> None:
    """A changed quota goes on from when the bucket would be full, and never lacks more than all."""
    group = next(_groups)
    await limiter.take(group, [Limit("user", "ann", USER)], 200)
    (decision,) = await limiter.take(group, [Limit("user", "ann", Quota(7, 3600, 7))], 0)
    assert (decision.remaining, decision.limit) == (0, 7)
    (decision,) = await limiter.take(group, [Limit("user", "ann", Quota(400, 3600, 400))], 0)
    assert decision.remaining == 0 or decision.remaining == 1


_names = (
    st.text(st.characters(), max_size=8)
    | st.text("{}:%#\\0 \\n", max_size=6)
    | st.integers(150, 170).map("x".__mul__)
)


@given(st.tuples(_names, _names, _names), st.tuples(_names, _names, _names))
def test_names_never_collide(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Whatever groups and keys are called, they have keys of their own, and a group one hash tag."""
    keys = []
    for group, name, key in (one, other):
        (text,) = keys_of(hash_tag(group), [Limit(name, key, USER)])
        tag, _, rest = text.partition("}")
        assert tag.startswith("{sigil:")
        assert not set("{}") & set(tag[1:] + rest)
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 600
        keys.append(text)
    assert (keys[0] == keys[1]) == (one == other)


async def test_hostile_names_work(limiter: RedisLimiter) -> None:
    """Names with braces, line ends, surrogates and no end of letters are limited like others."""
    for name in (
        "",
        "{}",
        "}{",
        "a b\r\nFLUSHALL\r\n",
        "\0",
        "\ud800",
        "ü" * 10_000,
        "auth0|42",
        "{sigil:acme}",
    ):
        for _ in range(2):
            limits = [Limit("user", name, USER), Limit("tenant", name, TENANT)]
            decisions = await limiter.take(name + "names", limits, 100)
            assert all(decision.allowed for decision in decisions), name
        assert [decision.remaining for decision in decisions] == [0, 800], name
    assert written("auth0|42") == "auth0|42"


@pytest.mark.parametrize(
    "quota",
    [
        *(Quota(0, 1, 1), Quota(1, 0, 1), Quota(1, 1, 0), Quota(1, 86400, 367)),
        *(Quota(10**10, 1, 1), Quota(1 << 60, 1 << 40, 1)),
    ],
)
async def test_quotas_out_of_range(limiter: RedisLimiter, quota: Quota) -> None:
    """A quota whose numbers would not be exact is refused when it is looked at, and when it is used."""
    with pytest.raises(InvalidOptionError):
        Terms(quota)
    with pytest.raises(InvalidOptionError):
        await limiter.take("acme", [Limit("user", "ann", quota)], 1)
    with pytest.raises(InvalidOptionError):
        await limiter.take("acme", [Limit("user", "ann", USER)], -1)


async def test_numbers_are_exact_at_the_edge(limiter: RedisLimiter) -> None:
    """The largest quotas count to the last token."""
    for quota in (Quota(10**9, 1, 10**15), Quota(1, 86400, 366), Quota(10**15 - 1, 10**6, 3 * 10**15)):
        limits = [Limit("user", "ann", quota)]
        group = next(_groups)
        (decision,) = await limiter.take(group, limits, quota.burst)
        assert decision.allowed
        assert decision.remaining == 0
        fills = Terms(quota).full / quota.limit / 1e6
        assert decision.reset_after == pytest.approx(fills, rel=1e-12)


async def test_cancelled_calls_leave_no_answer_behind(shared_redis: RedisServer) -> None:
    """After calls that were given up at any moment, others get their own answers, and all connections."""
    limiter = RedisLimiter.from_url(shared_redis.url, timeout=PATIENT, connections=2)
    group = next(_groups)
    wide = [Limit("tenant", str(number), TENANT) for number in range(3)]
    for turn in range(120):
        tasks = [asyncio.create_task(limiter.take(group, wide, 1)) for _ in range(4)]
        await asyncio.sleep(0.00002 * (turn % 60))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        answers = await asyncio.gather(*(limiter.take(group, wide[:1], 0) for _ in range(2)))
        assert all(len(answer) == 1 for answer in answers)
    assert limiter.condition == "ok"
    await limiter.close()


async def test_other_ways_in(shared_redis: RedisServer) -> None:
    """A socket in the file system works like TCP, and so does the caller's own clock."""
    path = shared_redis.folder / "redis.sock"
    limits = [Limit("user", "ann", USER)]
    for options in ({}, {"client_time": True}):
        limiter = RedisLimiter.from_url(f"unix://{path}", timeout=PATIENT, **options)
        (decision,) = await limiter.take(next(_groups), limits, 1)
        assert decision.remaining == 199
        assert limiter.nodes == {str(path): "closed"}
        await limiter.close()


async def test_tls(tmp_path: Path) -> None:
    """A server with a certificate of an authority that the URL names is used over TLS, and no other."""
    authority, plain = trustme.CA(), free_ports(2)
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    files = [f"--tls-{kind}-file" for kind in ("cert", "key", "ca-cert")]
    names = ["server.pem", "server.pem", "ca.pem"]
    options = [word for pair in zip(files, names, strict=True) for word in (pair[0], str(tmp_path / pair[1]))]
    port = str(plain[1])
    server = RedisServer(tmp_path, plain[0], "--tls-port", port, "--tls-auth-clients", "no", *options)
    try:
        url = f"rediss://127.0.0.1:{port}"
        limiter = RedisLimiter.from_url(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}", timeout=PATIENT)
        limits = [Limit("user", "ann", USER)]
        answers = await asyncio.gather(*(limiter.take("acme", limits, 1) for _ in range(20)))
        assert sorted(decision.remaining for (decision,) in answers) == list(range(180, 200))
        await limiter.close()
        stranger = RedisLimiter.from_url(url, timeout=PATIENT)
        with pytest.raises(LimiterUnavailableError, match="connection"):
            await stranger.take("acme", limits, 1)
        await stranger.close()
    finally:
        server.kill()


async def test_slow_connections_are_made_in_the_end(redis_server: RedisServer) -> None:
    """A connection that takes longer than a call may is there for a later call."""
    limits = [Limit("user", "ann", USER)]
    with redis_server.client() as client:
        client.config_set("requirepass", "secret")
        before: Any = client.info("stats")
        limiter = RedisLimiter.from_url(
            f"redis://:secret@127.0.0.1:{redis_server.port}", timeout=0.1, failures=99
        )
        redis_server.freeze()
        for _ in range(2):
            with pytest.raises(LimiterUnavailableError, match="timeout"):
                await limiter.take("acme", limits, 1)
        redis_server.thaw()
        for _ in range(600):
            with contextlib.suppress(LimiterUnavailableError):
                await limiter.take("acme", limits, 1)
                break
        after: Any = client.info("stats")
        assert after["total_connections_received"] - before["total_connections_received"] == 1
        assert client.exists("{sigil:acme}:user:ann")
    await limiter.close()


async def test_the_function_comes_back_by_itself(redis_server: RedisServer) -> None:
    """Where the function is gone, it is loaded once however many ask, and no call fails."""
    limiter = RedisLimiter.from_url(redis_server.url, timeout=PATIENT)
    limits = [Limit("user", "ann", USER)]
    with redis_server.client() as client:
        for turn in range(3):
            await asyncio.gather(*(limiter.take(f"g{turn}", limits, 1) for _ in range(20)))
            calls: Any = client.info("commandstats")
            assert calls["cmdstat_function|load"]["calls"] == turn + 1
            client.execute_command("FUNCTION", "FLUSH")
            client.flushall()
    await limiter.close()


async def test_refusals_have_their_reason(redis_server: RedisServer) -> None:
    """What Redis refuses is an error with a reason, and so is a server that is not there."""
    limits = [Limit("user", "ann", USER)]
    with redis_server.client() as client:
        client.replicaof("127.0.0.1", "1")
        limiter = RedisLimiter.from_url(redis_server.url, timeout=PATIENT)
        with pytest.raises(LimiterUnavailableError, match="refused"):
            await limiter.take("acme", limits, 1)
        client.replicaof("NO", "ONE")
        assert (await limiter.take("acme", limits, 1))[0].allowed
        client.config_set("maxmemory", 1)
        with pytest.raises(LimiterUnavailableError, match="refused"):
            await limiter.take("acme", limits, 1)
        client.config_set("maxmemory", 0)
        redis_server.kill()
        with pytest.raises(LimiterUnavailableError, match="connection"):
            await limiter.take("acme", limits, 1)
    await limiter.close()


async def test_secrets_are_not_shown(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A password works, and is in no text that anything makes of it, nor is a wrong one."""
    caplog.set_level(logging.DEBUG)
    limits = [Limit("user", "ann", USER)]
    with redis_server.client() as client:
        client.config_set("requirepass", "tr0ub4dor/&3")
    port = redis_server.port
    right = RedisLimiter.from_url(f"redis://:tr0ub4dor%2F&3@127.0.0.1:{port}", timeout=PATIENT)
    assert (await right.take("acme", limits, 1))[0].allowed
    wrong = RedisLimiter.from_url(f"redis://:w0rse-secret@127.0.0.1:{port}", timeout=PATIENT, failures=1)
    with pytest.raises(LimiterUnavailableError, match="refused") as caught:
        await wrong.take("acme", limits, 1)
    shown = [repr(right), repr(wrong), repr(right._servers.__dict__), str(right.nodes), str(wrong.failing)]
    error: BaseException | None = caught.value
    while error is not None:
        shown += [repr(error), str(error)]
        error = error.__cause__ or error.__context__
    for url in (
        "redis://:s3cret/half@host:1/",
        "http://u:s3cret@h",
        "redis+cluster://:s3cret@h:x",
        "s3cret",
        "",
    ):
        with pytest.raises(ValueError, match="Redis") as refused:
            RedisAddress(url)
        shown += [repr(refused.value), repr(refused.value.__cause__)]
    with pytest.raises(ValueError, match="options of such a Redis URL: none") as refused:
        RedisAddress("redis://:s3cret@host/?retry=s3cret")
    output = capsys.readouterr()
    text = " ".join([*shown, str(refused.value), caplog.text, output.out, output.err])
    assert not any(secret in text for secret in ("tr0ub4dor", "w0rse", "s3cret"))
    await right.close()
    await wrong.close()


async def test_no_call_takes_longer_than_its_deadline(redis_server: RedisServer) -> None:
    """A frozen server costs its timeout, then nothing; when it goes on, so do the calls."""
    limiter = RedisLimiter.from_url(redis_server.url, pause=0.1, failures=3, connections=4)
    limits = [Limit("user", "ann", USER)]
    await limiter.take("acme", limits, 1)
    redis_server.freeze()
    reasons: Counter[str] = Counter()
    # Every pause ends with an attempt, which takes a deadline; on a busy machine that may be often.
    while reasons["open"] < 8:
        with pytest.raises(LimiterUnavailableError) as caught:
            await asyncio.wait_for(limiter.take("acme", limits, 1), 30)
        reasons[caught.value.reason] += 1
        assert reasons["timeout"] < 500
    assert reasons["timeout"] >= 3
    assert limiter.condition == "degraded"
    redis_server.thaw()
    end = time.monotonic() + 20
    while limiter.condition == "degraded":
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    # What was sent to the frozen server may have been counted; attempts to reach it are not.
    (decision,) = await limiter.take("acme", limits, 1)
    assert 194 <= decision.remaining <= 198
    await limiter.close()
