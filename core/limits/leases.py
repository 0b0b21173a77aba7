"""Tokens that a process takes ahead of time, so that it need not ask for every request."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from core.limits.interface import Limit
from core.limits.terms import terms_of
from sigil_native import Decision

#: A lease is at most this part of a bucket, so that the others get theirs. Small buckets are not leased.
_SHARE: Final = 10
#: Limits of which tokens are held at once.
_MOST: Final = 1 << 16

#: Takes ``needs`` and ``batches`` from the limits of a group, or ``needs`` alone, or nothing. Returns 2, 1 or
#: 0, and for each limit whether it allows its need and what its bucket lacks, in parts (see ``Terms``).
Ask = Callable[
    [str, Sequence[Limit], Sequence[int], Sequence[int]], Awaitable[tuple[int, list[tuple[bool, int]]]]
]


class _Lease:
    """Tokens of one limit."""

    __slots__ = ("asked", "expires", "lacks", "pending", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        #: When they are no longer used.
        self.expires = 0.0
        #: Tokens that may come, or come back, when calls that are under way are answered.
        self.pending = 0
        #: What the bucket lacked, in parts, and when that was.
        self.lacks = 0
        self.asked = 0.0


class Leases:
    """Spends leased tokens, and asks for more where they do not suffice.

    Each process holds at most ``lease`` unused tokens of a limit, and forgets them after ``lease_time``. All
    were taken from the bucket before, which gives no more than ``burst + rate * span`` in any span. So all
    processes together grant no more than ``burst + rate * span + processes * lease``: what was taken in the
    span, and what was held when it began.

    A request is refused only by the bucket: where it has no tokens for a lease, a request gets what it needs
    and no more. Tokens that a process holds and does not use are missing to the others until they come back.

    A lease costs memory until others have pushed it out, of which there is room for a bounded number.
    """

    def __init__(
        self, ask: Ask, lease: int, lease_time: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Hold nothing yet; ``clock`` is in seconds."""
        self._ask = ask
        self._lease = lease
        self._lease_time = lease_time
        self._clock = clock
        self._held: OrderedDict[tuple[str, Limit], _Lease] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    async def take(self, group: str, limits: Sequence[Limit], cost: int) -> list[Decision]:
        """Count a request, if it may be: see ``RedisLimiter.take``."""
        now = self._clock()
        leases = [self._of(group, limit, now) for limit in limits]
        never = any(cost > limit.quota.burst for limit in limits)
        # What is not there must be asked for. Nobody gets leased tokens for a request that is never allowed.
        spent = [0 if never else min(lease.tokens, cost) for lease in leases]
        needs = [cost - part for part in spent]
        if cost > 0 and not any(needs):
            for lease in leases:
                lease.tokens -= cost
            return [
                self._decide(limit, lease, cost, now, allowed=True)
                for limit, lease in zip(limits, leases, strict=True)
            ]
        return await self._more(group, limits, leases, cost, spent)

    async def _more(
        self, group: str, limits: Sequence[Limit], leases: list[_Lease], cost: int, spent: list[int]
    ) -> list[Decision]:
        """Ask for what is missing, and for the next leases along with it."""
        needs = [cost - part for part in spent]
        batches = []
        for limit, lease, part, need in zip(limits, leases, spent, needs, strict=True):
            # Set aside while the answer is awaited: nobody else may spend it.
            lease.tokens -= part
            batches.append(self._batch(limit, lease) if need else 0)
            lease.pending += part + batches[-1]
        taken = 0
        try:
            taken, stands = await self._ask(group, limits, needs, batches)
        finally:
            for lease, part, batch in zip(leases, spent, batches, strict=True):
                lease.pending -= part + batch
                if taken == 0:
                    lease.tokens += part
        now = self._clock()
        decisions = []
        for limit, lease, batch, (allowed, lacks) in zip(limits, leases, batches, stands, strict=True):
            lease.lacks, lease.asked = lacks, now
            if taken == 2 and batch:
                expires = now + self._lease_time
                lease.expires = min(lease.expires, expires) if lease.tokens else expires
                lease.tokens += batch
            decisions.append(self._decide(limit, lease, cost, now, allowed=allowed))
        return decisions

    def _of(self, group: str, limit: Limit, now: float) -> _Lease:
        lease = self._held.get((group, limit))
        if lease is None:
            lease = self._held[group, limit] = _Lease()
            if len(self._held) > _MOST:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end((group, limit))
            if now >= lease.expires:
                lease.tokens = 0
        return lease

    def _batch(self, limit: Limit, lease: _Lease) -> int:
        most = min(self._lease, limit.quota.burst // _SHARE)
        return max(most - lease.tokens - lease.pending, 0)

    def _decide(self, limit: Limit, lease: _Lease, cost: int, now: float, *, allowed: bool) -> Decision:
        terms = terms_of(limit.quota)
        # What has come back since, as far as this process can know.
        lacks = max(lease.lacks - int((now - lease.asked) * 1_000_000) * terms.parts, 0)
        return terms.decide(cost, allowed, lacks, spare=lease.tokens)
