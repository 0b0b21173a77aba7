"""Redis stopped, frozen, flushed, restarted and failed over, under requests that never stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import LimiterUnavailableError
from core.limits.interface import Answer, Limit
from core.limits.local import LocalLimiter
from core.limits.outage import OutageLimiter
from core.limits.quota import Quota
from core.limits.redis_function import hash_tag
from core.limits.redis_limiter import RedisLimiter
from servers.redis import NODE_TIMEOUT, RedisClusterServers, RedisServer, running_server

#: Seconds of the timeout, and what a loaded machine may add. Who waits for a frozen server never answers.
TIMEOUT = 0.05
MARGIN = 10.0
USER = Quota(limit=1000, window=10, burst=200)
POLICIES = {"write": "local", "admin": "deny", "read": "allow"}


class Traffic:
    """Callers of all classes of routes and several groups, and what became of their requests."""

    def __init__(self, limiter: OutageLimiter, groups: list[str]) -> None:
        """Count from now on."""
        self.limiter = limiter
        self.groups = groups
        self.begin = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.by_group: Counter[str] = Counter()
        self.slowest = 0.0
        self.unexpected: list[BaseException] = []

    async def caller(self, group: str, route_class: str) -> None:
        """Ask again and again."""
        view = self.limiter.view(route_class)
        limits = [Limit("user", f"{route_class} of {group}", USER), Limit("tenant", group, USER)]
        while True:
            begin = time.monotonic()
            try:
                answer = await view.take(group, limits, 1)
            except LimiterUnavailableError:
                outcome = "denied"
            except Exception as error:
                self.unexpected.append(error)
                return
            else:
                granted = all(decision.allowed for decision in answer)
                outcome = f"{answer.source} {'granted' if granted else 'refused'}"
                self.by_group[f"{group} {answer.source}"] += 1
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.counts[outcome] += 1
            await asyncio.sleep(0.005)

    def phase(self, name: str) -> Counter[str]:
        """Print a line of the timeline, and begin the next phase."""
        counts = self.counts
        told = ", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))
        moment = time.monotonic() - self.begin
        slowest = self.slowest * 1000
        print(f"{moment:6.2f} s  {name:<28} {self.limiter.condition:<9} slowest {slowest:6.1f} ms  {told}")
        assert not self.unexpected
        assert self.slowest < TIMEOUT + MARGIN
        self.counts, self.slowest = Counter(), 0.0
        self.by_group.clear()
        return counts


@contextlib.asynccontextmanager
async def traffic(url: str, groups: list[str]) -> AsyncIterator[Traffic]:
    """Requests that go on all the time."""
    redis = RedisLimiter.from_url(url, timeout=TIMEOUT, pause=0.2, connections=8)
    limiter = OutageLimiter(redis, LocalLimiter(), POLICIES, share=0.5)  # type: ignore[arg-type]
    under_way = Traffic(limiter, groups)
    callers = [
        asyncio.create_task(under_way.caller(group, route_class))
        for group in groups
        for route_class in POLICIES
    ]
    try:
        yield under_way
    finally:
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await limiter.close()


async def until(reached: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.02)


def sources(counts: Counter[str]) -> set[str]:
    """Who gave answers."""
    return {outcome.split()[0] for outcome in counts}


async def settled(under_way: Traffic, name: str, seconds: float) -> None:
    """Redis answers everything, if not at once because the machine is busy, then soon."""
    for _ in range(50):
        await asyncio.sleep(seconds)
        if sources(under_way.phase(name)) == {"shared"}:
            return
    raise AssertionError("it did not come about")


async def outage(under_way: Traffic, name: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
    """A server goes away and comes back; the policies apply meanwhile, and nothing else is needed."""
    condition = under_way.limiter
    await asyncio.to_thread(begin)
    await until(lambda: condition.condition == "degraded")
    under_way.phase(f"{name}: noticed")
    await asyncio.sleep(0.2)
    assert sources(under_way.phase(f"{name}: away")) == {"local", "allow", "denied"}
    await asyncio.to_thread(end)
    await until(lambda: condition.condition == "ok")
    under_way.phase(f"{name}: back")
    await settled(under_way, f"{name}: after it", 0.1)


async def test_one_server(tmp_path: Path) -> None:
    """Frozen, killed or emptied, a server costs no request more than the timeout, and it comes back."""
    print()
    with running_server(tmp_path) as server:
        async with traffic(server.url, ["acme", "globex"]) as under_way:
            await settled(under_way, "before", 0.2)
            await outage(under_way, "frozen", server.freeze, server.thaw)
            await outage(under_way, "killed, restarted empty", server.kill, server.start)
            with server.client() as client:
                client.execute_command("FUNCTION", "FLUSH")
                client.flushall()
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.3)
            assert "shared" in sources(under_way.phase("flushed, disconnected"))
            await until(lambda: under_way.limiter.condition == "ok")
            under_way.phase("after it")
            await settled(under_way, "long after it", 0.2)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterServers]:
    """Six nodes for all tests of the module."""
    servers = RedisClusterServers(tmp_path_factory.mktemp("cluster"))
    try:
        yield servers
    finally:
        servers.kill()


def groups_on_each(cluster: RedisClusterServers) -> dict[int, str]:
    """A group for each master, by its port."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < 3:
        found.setdefault(cluster.master_of(hash_tag(f"group{number}")).port, f"group{number}")
        number += 1
    return found


async def fail_over(
    cluster: RedisClusterServers,
    name: str,
    begin: Callable[[RedisServer], None],
    end: Callable[[RedisServer], None],
) -> None:
    """A master goes away, its replica takes over, and the old one comes back as a replica."""
    groups = await asyncio.to_thread(groups_on_each, cluster)
    async with traffic(cluster.url, list(groups.values())) as under_way:
        await settled(under_way, "before", 0.3)
        port, group = next(iter(groups.items()))
        others = [other for other in groups.values() if other != group]
        victim = cluster.server(port)
        await asyncio.to_thread(begin, victim)
        await until(lambda: under_way.limiter.condition == "degraded")
        under_way.phase(f"{name}: noticed")
        await asyncio.sleep(NODE_TIMEOUT / 4000)
        for other in others:
            # They notice nothing; a busy machine may cost one of them its deadline now and then.
            assert under_way.by_group[f"{other} shared"] > 10
            assert under_way.by_group[f"{other} local"] < 10
        assert sources(under_way.phase(f"{name}: away")) == {"shared", "local", "allow", "denied"}
        await until(lambda: under_way.limiter.condition == "ok")
        under_way.phase(f"{name}: failed over")
        await settled(under_way, f"{name}: after it", 0.5)
        assert f"127.0.0.1:{port}" not in under_way.limiter.nodes
        await asyncio.to_thread(end, victim)
        await until_async(lambda: asyncio.to_thread(cluster.whole))
        under_way.phase(f"{name}: back as replica")
        await settled(under_way, f"{name}: long after it", 0.3)


async def until_async(reached: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not await reached():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.1)


@pytest.mark.heavy("starts a cluster of six and waits for fail-overs")
async def test_a_master_is_killed(cluster: RedisClusterServers) -> None:
    """A master that is killed takes only its own groups away, until its replica takes over."""
    print()
    await fail_over(cluster, "master killed", RedisServer.kill, RedisServer.start)


@pytest.mark.heavy("starts a cluster of six and waits for fail-overs")
async def test_a_master_is_frozen(cluster: RedisClusterServers) -> None:
    """A master that is frozen slows no request down on the others, and is replaced."""
    print()
    await fail_over(cluster, "master frozen", RedisServer.freeze, RedisServer.thaw)


@pytest.mark.heavy("starts a cluster of six and waits for fail-overs")
async def test_slots_move(cluster: RedisClusterServers) -> None:
    """While a slot moves to another master, and after it, its limits go on being kept exactly."""
    limits = [Limit("user", "ann", Quota(100, 3600, 100)), Limit("tenant", "acme", Quota(100, 3600, 100))]
    limiter = RedisLimiter.from_url(cluster.url, timeout=5.0)
    await limiter.take("moving", limits, 1)
    source = cluster.master_of(hash_tag("moving"))
    target = next(
        server
        for server in cluster.servers
        if f"127.0.0.1:{server.port}" in limiter.nodes and server is not source
    )
    with source.client() as old, target.client() as new:
        slot: Any = old.execute_command("CLUSTER", "KEYSLOT", hash_tag("moving"))
        names = [str(client.execute_command("CLUSTER", "MYID")) for client in (old, new)]
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
        await limiter.take("moving", limits, 1)
        keys: Any = old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10)
        old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        # The old node sends callers on, for this call alone.
        await limiter.take("moving", limits, 1)
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[1])
        for _ in range(3):
            decisions = await limiter.take("moving", limits, 1)
        assert [decision.remaining for decision in decisions] == [94, 94]
    assert limiter.condition == "ok"
    await limiter.close()


def test_answers_are_sequences() -> None:
    """An answer is the decisions, and says where they are from."""
    assert Answer([], "local") == ()
    assert Answer([], "local").source == "local"
