"""Rate limits that any number of hosts share, kept by Redis or Redis Cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from core.breaker import State
from core.deadlines import Deadlines
from core.errors import LimiterUnavailableError
from core.limits.interface import Condition, Limit
from core.limits.leases import Leases
from core.limits.redis_address import RedisAddress
from core.limits.redis_function import hash_tag, keys_of
from core.limits.redis_node import RedisNode
from core.limits.redis_servers import ClusterServers, Servers, SingleServer
from core.limits.terms import arguments_of, terms_of
from sigil_native import Decision

_SERVER_TIME: Final = b""


def wall_clock() -> int:
    """Microseconds since 1970, by this host's clock."""
    return time.time_ns() // 1000


class RedisLimiter:
    """A limiter over one function of Redis, which decides all limits of a request at once.

    All keys of a group have one hash tag, so they are on one node of a cluster. The clock is the server's.
    No call takes longer than the timeout, and none is repeated: what may have been counted is not counted
    twice.

    With a lease, a process takes some more tokens than a request needs, and spends them on the next ones
    without asking. In any span of time, all processes together grant no more of a limit than ``burst + rate *
    span + processes * lease``. See ``Leases``.

    For use on one event loop.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        timeout: float = 0.05,
        connections: int = 32,
        client_time: bool = False,
        lease: int = 0,
        lease_time: float = 1.0,
        failures: int = 5,
        pause: float = 1.0,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        """Know the servers; nothing is sent yet.

        Args:
            address: where they are.
            timeout: seconds for all of a call.
            connections: to each server, at most.
            client_time: whether to send the time of ``clock``, for servers that refuse ``TIME`` in functions.
                The hosts' clocks must agree then: a clock that is ahead by a second gives back tokens a
                second early.
            lease: tokens that a process may hold of each limit without having used them; 0 for none.
            lease_time: seconds after which they are no longer used.
            failures: in a row after which a server is left alone.
            pause: seconds for which it is.
            clock: microseconds since 1970.
        """
        self._client_time = clock if client_time else None
        self._address = address
        self._deadlines = Deadlines(timeout)
        #: Called after each change of what is ``failing``.
        self.on_change: Callable[[], object] | None = None
        self._failing: frozenset[str] = frozenset()

        def make(options: dict[str, Any]) -> RedisNode:
            return RedisNode(
                options,
                deadlines=self._deadlines,
                connections=connections,
                failures=failures,
                pause=pause,
                on_change=self._changed,
            )

        self._servers: Servers = (
            ClusterServers(address, make, on_change=self._notice)
            if address.cluster
            else SingleServer(address.nodes[0], make)
        )
        self._leases = Leases(self._ask, lease, lease_time) if lease > 0 else None

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make one for a URL: see ``RedisAddress`` and ``RedisLimiter``.

        Raises:
            ValueError: not a URL that can be used. The message has nothing of it.
        """
        return cls(RedisAddress(url), **options)

    def __repr__(self) -> str:
        return f"RedisLimiter({self._address!r}, {self.condition})"

    @property
    def condition(self) -> Condition:
        """``degraded`` while something is ``failing``."""
        return "degraded" if self.failing else "ok"

    @property
    def failing(self) -> frozenset[str]:
        """The servers that are left alone or being tried now; ``cluster`` while nobody knows where it is."""
        names = {name for name, state in self._servers.states.items() if state != "closed"}
        return frozenset(names | {"cluster"}) if self._servers.lost else frozenset(names)

    @property
    def nodes(self) -> Mapping[str, State]:
        """The servers that are used now, and how the breaker of each stands."""
        return self._servers.states

    @property
    def causes(self) -> Mapping[str, str]:
        """What was wrong with the servers that are left alone."""
        return self._servers.causes

    def start(self) -> None:
        """Begin to notice while nobody asks that Redis is away. Needs a running event loop."""
        self._servers.start()

    async def take(self, group: str, limits: Sequence[Limit], cost: int) -> list[Decision]:
        """Count a request, if it may be: see ``Limiter``.

        Raises:
            LimiterUnavailableError: Redis does not answer in time, refuses to, or is left alone now.
            InvalidOptionError: a quota that is out of range, see ``Terms``, or a negative cost.
        """
        if not limits:
            return []
        if self._leases is not None:
            return await self._leases.take(group, limits, cost)
        arguments = self._time()
        for limit in limits:
            arguments += arguments_of(limit.quota, cost)
        answer = await self._call(group, limits, arguments)
        decisions = []
        place = 2
        for limit in limits:
            terms = terms_of(limit.quota)
            lacks = answer[place + 1] * terms.parts + answer[place + 2]
            decisions.append(terms.decide(cost, answer[place] == 1, lacks))
            place += 3
        return decisions

    async def close(self) -> None:
        """Give up all connections."""
        await self._servers.close()
        self._deadlines.close()

    async def _ask(
        self, group: str, limits: Sequence[Limit], needs: Sequence[int], batches: Sequence[int]
    ) -> tuple[int, list[tuple[bool, int]]]:
        """See ``Ask``."""
        arguments = self._time()
        for limit, need in zip(limits, needs, strict=True):
            arguments += arguments_of(limit.quota, need)
        if any(batches):
            for limit, need, batch in zip(limits, needs, batches, strict=True):
                arguments += terms_of(limit.quota).amount(need + batch)
        answer = await self._call(group, limits, arguments)
        stands = []
        for place, limit in enumerate(limits):
            allows, lacks, rest = answer[2 + 3 * place : 5 + 3 * place]
            stands.append((allows == 1, lacks * limit.quota.limit + rest))
        # Without batches, the needs are all there is.
        return answer[1], stands

    async def _call(self, group: str, limits: Sequence[Limit], arguments: list[bytes]) -> list[int]:
        keys = keys_of(hash_tag(group), limits)
        try:
            with self._deadlines.begin() as deadline:
                return await self._servers.call(keys, arguments, deadline)
        except TimeoutError:
            raise LimiterUnavailableError("timeout") from None

    def _time(self) -> list[bytes]:
        return [_SERVER_TIME if self._client_time is None else b"%d" % self._client_time()]

    def _changed(self, node: RedisNode, state: State) -> None:
        if state == "open":
            self._servers.failed(node)
        self._notice()

    def _notice(self) -> None:
        failing = self.failing
        if failing != self._failing:
            self._failing = failing
            if self.on_change is not None:
                self.on_change()
