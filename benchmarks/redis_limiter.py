"""Time the Redis limiter against bare calls of its function, with as many callers at once.

``python -m benchmarks.redis_limiter`` starts a server of its own. Rounds of both are taken in turn, so both
see the same machine; the ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from benchmarks.sides import Side, Sides
from core.limits.interface import Limit
from core.limits.quota import Quota
from core.limits.redis_address import RedisAddress
from core.limits.redis_client import make_pool
from core.limits.redis_function import NAME, SOURCE, hash_tag, keys_of
from core.limits.redis_limiter import RedisLimiter
from core.limits.terms import arguments_of
from servers.redis import running_server

#: What exact mode may take of a bare call's time.
GOAL = 1.15
_CALLERS = 32
BARE = "bare FCALL by redis-py"
QUOTA = Quota(limit=1_000_000, window=1, burst=1_000_000)
LIMITS = [Limit("user", "auth0|5f7c8ec7c33c6c004bbafe82", QUOTA), Limit("tenant", "acme", QUOTA)]

Call = Callable[[], Awaitable[object]]


async def _round(call: Call, callers: int, calls: int) -> float:
    """Seconds a call, with so many callers at once."""

    async def caller() -> None:
        for _ in range(calls):
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.perf_counter() - start) / (callers * calls)


@contextlib.contextmanager
def exact_beside_bare() -> Iterator[Sides]:
    """Exact mode and bare calls, 32 callers; the server has a core of its own, as a server has."""
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        os.sched_setaffinity(server.pid, {cpus[0]})
        os.sched_setaffinity(0, {cpus[-1]})
        loop = asyncio.new_event_loop()
        bare = Redis.from_pool(make_pool(RedisAddress(server.url).nodes[0], connections=_CALLERS))
        exact = RedisLimiter.from_url(server.url, timeout=5.0, connections=_CALLERS)
        try:
            execute: Callable[..., Any] = bare.execute_command
            loop.run_until_complete(execute("FUNCTION", "LOAD", "REPLACE", SOURCE))
            command = _bare()
            calls: list[Call] = [lambda: exact.take("exact", LIMITS, 1), lambda: execute(*command)]
            ours, peer = (
                Side(lambda call=call: loop.run_until_complete(_round(call, _CALLERS, 5)), _CALLERS * 5)  # type: ignore[misc]
                for call in calls
            )
            yield Sides(ours, peer)
        finally:
            loop.run_until_complete(exact.close())
            loop.run_until_complete(bare.aclose())
            loop.close()
            os.sched_setaffinity(0, cpus)


def _bare() -> tuple[Any, ...]:
    keys = keys_of(hash_tag("bare"), LIMITS)
    return (
        "FCALL",
        NAME,
        len(keys),
        *keys,
        b"",
        *(part for limit in LIMITS for part in arguments_of(limit.quota, 1)),
    )


async def measure(url: str, *, callers: int, calls: int, rounds: int) -> dict[str, list[float]]:
    """Seconds a call in each round: of the bare function, in exact mode, and leased."""
    bare = Redis.from_pool(make_pool(RedisAddress(url).nodes[0], connections=callers))
    thin = make_pool(RedisAddress(url).nodes[0], connections=callers)
    execute: Callable[..., Awaitable[Any]] = bare.execute_command
    await execute("FUNCTION", "LOAD", "REPLACE", SOURCE)
    exact = RedisLimiter.from_url(url, timeout=5.0, connections=callers)
    leased = RedisLimiter.from_url(url, timeout=5.0, connections=callers, lease=100)
    command = _bare()
    ways: dict[str, Call] = {
        BARE: lambda: execute(*command),
        "the same without redis-py's client": lambda: thin.run(command),
        "exact": lambda: exact.take("exact", LIMITS, 1),
        "leased, 100 tokens": lambda: leased.take("leased", LIMITS, 1),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, call in ways.items():
            seconds = await _round(call, callers, calls)
            if turn:  # the first round connects
                times[name].append(seconds)
    await exact.close()
    await leased.close()
    await bare.aclose()
    await thin.disconnect()
    return times


def main() -> int:
    """Measure and print; 0 whatever the verdict is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redis_limiter", description=__doc__)
    parser.add_argument("--callers", type=int, default=32, help="at once")
    parser.add_argument("--calls", type=int, default=50, help="of each caller in a round")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        times = asyncio.run(
            measure(server.url, callers=options.callers, calls=options.calls, rounds=options.rounds)
        )
    table = Table(
        title=f"Redis limiter, two limits a call, {options.callers} callers, {options.rounds} rounds"
    )
    table.add_column("Way")
    for heading in ("a call", "calls/s", "Ratio", "Goal", "Verdict"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, taken in times.items():
        seconds = statistics.median(taken)
        ratio = statistics.median(own / bare for own, bare in zip(taken, times[BARE], strict=True))
        goal = ("≤ 1.15x", "[green]reached[/]" if ratio <= GOAL else "[red]missed[/]")
        table.add_row(
            *(name, f"{seconds * 1e6:,.1f} µs", f"{1 / seconds:,.0f}", f"{ratio:.3f}x"),
            *(goal if name == "exact" else ("", "")),
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
