"""Token buckets in a dict: the oracle of the compiled table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Literal, NoReturn, final

from sigil_native._arguments import (
    bucket_capacity,
    bucket_clock,
    bucket_cost,
    bucket_key,
    bucket_keys,
    check_full_policy,
)
from sigil_native._decision import Decision
from sigil_native._token_time import TokenTime
from sigil_native.errors import InvalidOptionError


@final
class TokenBucket:
    """Token buckets for any number of keys, each full at first.

    See ``docs/library.md``. This backend keeps one dict under a lock, and no table in shared memory.
    """

    __slots__ = (
        "_allows_when_full",
        "_arrivals",
        "_capacity",
        "_clock",
        "_epoch",
        "_full",
        "_lock",
        "_rate",
        "_time",
    )

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        capacity: int = 1 << 20,
        path: object = None,
        fresh: bool = False,
        when_full: Literal["refuse", "allow"] = "refuse",
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Make buckets.

        Args:
            rate: tokens a second that come back; at most 10^9.
            burst: tokens that a full bucket holds.
            capacity: keys for which there is room at once.
            path: of a file in shared memory; the compiled backend only.
            fresh: whether to begin with full buckets although the file has others.
            when_full: what becomes of new keys while there is no room.
            clock: nanoseconds from any moment on; the system's monotonic clock by default.

        Raises:
            TypeError: an argument of a wrong type.
            InvalidOptionError: an argument out of range.
        """
        self._time = TokenTime(rate, burst)
        self._rate = rate
        self._capacity = bucket_capacity(capacity)
        self._allows_when_full = check_full_policy(when_full)
        self._clock = bucket_clock(clock) or time.monotonic_ns
        if path is not None:
            raise InvalidOptionError("path needs the compiled backend")
        self._epoch = self._clock()
        #: When each key's bucket is full again. A moment that has passed is as good as none.
        self._arrivals: dict[bytes, int] = {}
        self._full = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenBucket(rate={self._rate!r}, burst={self._time.burst})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("TokenBucket cannot be pickled")

    @property
    def rate(self) -> float:
        """Tokens a second that come back."""
        return self._rate

    @property
    def burst(self) -> int:
        """Tokens that a full bucket holds."""
        return self._time.burst

    @property
    def capacity(self) -> int:
        """Keys for which there is room at once."""
        return self._capacity

    @property
    def full(self) -> int:
        """How often a new key found no room."""
        return self._full

    def acquire(self, key: str | bytes, cost: int = 1) -> bool:
        """Take tokens if they are there; whether they were."""
        raw, tokens = bucket_key(key), bucket_cost(cost)
        with self._lock:
            return self._take(raw, tokens, self._now())[0]

    def check(self, key: str | bytes, cost: int = 1) -> Decision:
        """Take tokens if they are there, and tell how things stand after it. A cost of 0 only looks."""
        raw, tokens = bucket_key(key), bucket_cost(cost)
        with self._lock:
            allowed, debt, wait = self._take(raw, tokens, self._now())
        units = self._time
        room = units.burst * units.token - debt
        return Decision(
            allowed,
            units.burst,
            room // units.token,
            float("inf") if tokens > units.burst else units.seconds(wait),
            units.seconds(debt),
        )

    def acquire_many(self, keys: Iterable[str | bytes], cost: int = 1) -> list[bool]:
        """Take tokens from the bucket of each key, one after the other, all at one moment."""
        raw, tokens = [bucket_key(key) for key in bucket_keys(keys)], bucket_cost(cost)
        with self._lock:
            now = self._now()
            return [self._take(key, tokens, now)[0] for key in raw]

    def refund(self, key: str | bytes, cost: int = 1) -> None:
        """Give back tokens that were taken and not used; a bucket gets no fuller than full."""
        raw, tokens = bucket_key(key), bucket_cost(cost)
        with self._lock:
            arrival = self._arrivals.get(raw)
            if arrival is not None:
                self._arrivals[raw] = max(arrival - min(tokens, self._time.burst) * self._time.token, 1)

    def live_keys(self) -> int:
        """Keys whose buckets are not full now. Looks at all of them."""
        with self._lock:
            now = self._now()
            return sum(arrival > now for arrival in self._arrivals.values())

    def _now(self) -> int:
        return self._time.grains(self._clock() - self._epoch)

    def _take(self, key: bytes, tokens: int, now: int) -> tuple[bool, int, int]:
        """Whether the tokens were there, what the bucket lacks after it, and the grains to wait for them."""
        units = self._time
        most = units.burst * units.token
        arrival = self._arrivals.get(key, now)
        if arrival > now + most:  # the clock was set back: no bucket lacks more than all
            arrival = self._arrivals[key] = now + most
        debt = max(arrival - now, 0)
        if tokens > units.burst:
            return False, debt, 0
        wait = debt + tokens * units.token - most
        if tokens > 0 and wait > 0:
            return False, debt, wait
        if tokens == 0:
            return True, debt, 0
        if key not in self._arrivals and not self._has_room(now):
            self._full += 1
            # Nothing is kept of it: as if the bucket were empty, or full.
            return (True, 0, 0) if self._allows_when_full else (False, most, tokens * units.token)
        arrival = max(arrival, now) + tokens * units.token
        self._arrivals[key] = arrival
        return True, arrival - now, 0

    def _has_room(self, now: int) -> bool:
        if len(self._arrivals) < self._capacity:
            return True
        latest = now + self._time.burst * self._time.token
        self._arrivals = {
            key: min(arrival, latest) for key, arrival in self._arrivals.items() if arrival > now
        }
        return len(self._arrivals) < self._capacity
