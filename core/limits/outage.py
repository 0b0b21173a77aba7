"""What becomes of requests while Redis is away: a policy for each class of routes, and the way back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Final

import structlog

from core.breaker import State
from core.errors import LimiterUnavailableError
from core.limits.interface import Answer, Condition, Limit
from core.limits.local import LocalLimiter
from core.limits.quota import share_of
from core.limits.redis_limiter import RedisLimiter
from core.limits.routes import Policy
from sigil_native import Decision

_log = structlog.get_logger("core.limits")

#: Shares are rounded to this part.
_FINEST: Final = 1000


class OutageLimiter:
    """Redis while it answers, and the policy of a class of routes while it does not.

    ``view`` gives a class its limiter.

    What Redis grants is charged to this host's buckets too, which hold a share of each limit. So a client
    that has used up its limit gets no fresh burst when the buckets take over. Back at Redis, what was granted
    meanwhile is not known there: that is at most what the hosts' shares allow.

    A change of state is told once, in the log and to ``on_change``: not for each request. The way back
    needs nobody: servers are tried in the background.

    For use on one event loop.
    """

    def __init__(
        self,
        redis: RedisLimiter,
        local: LocalLimiter,
        policies: Mapping[str, Policy],
        *,
        share: float = 1.0,
        on_change: Callable[[Condition, frozenset[str]], object] | None = None,
    ) -> None:
        """Take over both limiters, to close them too.

        Args:
            redis: asked first.
            local: this host's buckets. All workers of a host share them if they are in files.
            policies: what becomes of each class of routes: ``local`` asks this host's buckets, ``deny``
                raises LimiterUnavailableError, ``allow`` lets everything pass.
            share: part of each limit that this host grants by itself; 0.5 for one of two hosts.
            on_change: called with the new condition and the names of what fails.

        Raises:
            ValueError: a share or a policy that there is not.
        """
        if not 0 < share <= 1 or round(share * _FINEST) == 0:
            raise ValueError(f"a share is more than 0 and at most 1, in steps of 1/{_FINEST}")
        if unknown := set(policies.values()) - {"local", "deny", "allow"}:
            raise ValueError(f"no policy: {', '.join(sorted(unknown))}")
        self._redis = redis
        self._local = local
        self._policies = dict(policies)
        self._share = Fraction(round(share * _FINEST), _FINEST)
        self._on_change = on_change
        self._failing: frozenset[str] = frozenset()
        self._local_works = True
        redis.on_change = self._changed

    @property
    def condition(self) -> Condition:
        """``degraded`` while a Redis server is left alone, or nobody knows where the cluster is."""
        return self._redis.condition

    @property
    def nodes(self) -> Mapping[str, State]:
        """The Redis servers that are used now, and how the breaker of each stands."""
        return self._redis.nodes

    def start(self) -> None:
        """Begin to notice while nobody asks that Redis is away. Needs a running event loop."""
        self._redis.start()

    def view(self, route_class: str) -> OutageView:
        """The limiter for a class of routes.

        Raises:
            KeyError: the class has no policy.
        """
        return OutageView(self, self._policies[route_class])

    async def take(self, group: str, limits: Sequence[Limit], cost: int, policy: Policy) -> Answer:
        """Count a request, if it may be: see ``Limiter``.

        Raises:
            LimiterUnavailableError: Redis is away, and the policy is to deny; or this host's buckets cannot
                be used either.
            InvalidOptionError: a quota that is out of range, see ``Terms``, or a negative cost.
        """
        try:
            decisions = await self._redis.take(group, limits, cost)
        except LimiterUnavailableError as error:
            if policy == "deny":
                raise
            if policy == "allow":
                full = (limit.quota.burst for limit in limits)
                return Answer((Decision(True, burst, burst, 0.0, 0.0) for burst in full), "allow")
            return Answer(self._take_share(group, limits, cost, error.retry_after), "local")
        if cost > 0 and all(decision.allowed for decision in decisions):
            self._charge(group, limits, cost)
        return Answer(decisions, "shared")

    async def close(self) -> None:
        """Give up connections and files."""
        await self._redis.close()
        await self._local.close()

    def _scaled(self, limits: Sequence[Limit]) -> list[Limit]:
        return [Limit(limit.name, limit.key, share_of(limit.quota, self._share)) for limit in limits]

    def _take_share(
        self, group: str, limits: Sequence[Limit], cost: int, retry_after: float
    ) -> list[Decision]:
        decisions = self._local.take_now(group, self._scaled(limits), cost)
        return [
            # The share never allows it, but the whole limit would: when Redis is back.
            decision._replace(retry_after=float(retry_after))
            if not decision.allowed and decision.limit < cost <= limit.quota.burst
            else decision
            for limit, decision in zip(limits, decisions, strict=True)
        ]

    def _charge(self, group: str, limits: Sequence[Limit], cost: int) -> None:
        try:
            self._local.charge(group, self._scaled(limits), cost)
        except LimiterUnavailableError as error:
            # The request is granted all the same; what is wrong is told once.
            if self._local_works:
                _log.error("local rate limits failing", reason=error.reason, cause=repr(error.__cause__))
            self._local_works = False
        else:
            self._local_works = True

    def _changed(self) -> None:
        before, self._failing = self._failing, self._redis.failing
        if self._failing:
            nodes = {name: self._redis.causes.get(name, "no node tells") for name in sorted(self._failing)}
            _log.error("redis for rate limits failing", pid=os.getpid(), nodes=nodes)
        else:
            _log.warning("redis for rate limits works again", pid=os.getpid(), nodes=sorted(before))
        if self._on_change is not None:
            self._on_change(self.condition, self._failing)


class OutageView:
    """A limiter with the policy of a class of routes."""

    __slots__ = ("_limiter", "_policy")

    def __init__(self, limiter: OutageLimiter, policy: Policy) -> None:
        """See ``OutageLimiter.view``."""
        self._limiter = limiter
        self._policy = policy

    async def take(self, group: str, limits: Sequence[Limit], cost: int) -> Answer:
        """See ``OutageLimiter.take``."""
        return await self._limiter.take(group, limits, cost, self._policy)

    async def close(self) -> None:
        """Do nothing: the limiter is shared, and closed once."""
