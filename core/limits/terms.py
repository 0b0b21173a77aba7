"""What a quota means in the whole numbers that the Redis function counts with."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from core.limits.quota import Quota
from sigil_native import Decision, InvalidOptionError

_MICROSECONDS: Final = 1_000_000
#: Up to here every whole number is a double of its own, and Lua has only doubles.
_EXACT: Final = 1 << 53
#: A bucket must fill within a leap year, as those of the library must.
_LONGEST_FILLING: Final = 366 * 86400
#: Terms and costs that are kept ready. Quotas come from settings, and costs are small.
_KEPT: Final = 4096


class Terms:
    """A quota in parts of a microsecond, of which there are ``limit``: one token takes ``token`` of them.

    Attributes:
        parts: how many parts a microsecond has.
        token: what a token takes to come back, in parts.
        full: what a full bucket holds, in parts.
        burst: the same in tokens.
    """

    __slots__ = ("burst", "full", "parts", "token")

    def __init__(self, quota: Quota) -> None:
        """Convert a quota.

        Raises:
            InvalidOptionError: it is out of range: not positive, more than 10^9 tokens a second, or the
                bucket takes more than 366 days to fill.
        """
        if quota.limit < 1 or quota.window < 1 or quota.burst < 1:
            raise InvalidOptionError("limit, window and burst of a quota must be at least 1")
        # A part and a rest are added, so twice the parts must be exact.
        if quota.limit > 10**9 * quota.window or 2 * quota.limit >= _EXACT:
            raise InvalidOptionError("a quota must have at most 1000000000 requests a second")
        if quota.burst * quota.window > _LONGEST_FILLING * quota.limit:
            raise InvalidOptionError("a bucket must fill within 366 days: raise limit or lower burst")
        self.parts = quota.limit
        self.token = quota.window * _MICROSECONDS
        self.burst = quota.burst
        self.full = quota.burst * self.token

    def decide(self, cost: int, allowed: bool, lacks: int, *, spare: int = 0) -> Decision:
        """The decision that the next request will find to be true.

        Args:
            cost: of this request, in tokens.
            allowed: whether it was.
            lacks: what the bucket lacks after it, in parts.
            spare: tokens that were taken from the bucket and not used yet.
        """
        if allowed and not spare:  # nearly always
            back = -(-lacks // self.parts) / _MICROSECONDS
            return Decision(True, self.burst, (self.full - lacks) // self.token, 0.0, back)
        remaining = min((self.full - lacks) // self.token + spare, self.burst)
        wait = 0.0
        if not allowed:
            missing = lacks + (cost - spare) * self.token - self.full
            wait = float("inf") if cost > self.burst else self.seconds(missing)
        return Decision(allowed, self.burst, remaining, wait, self.seconds(lacks))

    def seconds(self, parts: int) -> float:
        """How long so many parts take, up to the next whole microsecond."""
        return max(-(-parts // self.parts), 0) / _MICROSECONDS

    def arguments(self, cost: int) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """A limit's arguments of the function, for a request that costs so many tokens."""
        full, full_rest = divmod(self.full, self.parts)
        return b"%d" % self.parts, *self.amount(cost), b"%d" % full, b"%d" % full_rest

    def amount(self, cost: int) -> tuple[bytes, bytes]:
        """So many tokens in microseconds and parts; negative if a full bucket does not hold them."""
        if cost > self.burst:
            return b"-1", b"0"
        micros, rest = divmod(cost * self.token, self.parts)
        return b"%d" % micros, b"%d" % rest


@lru_cache(_KEPT)
def terms_of(quota: Quota) -> Terms:
    """A quota's terms.

    Raises:
        InvalidOptionError: see ``Terms``. Ask for it when a quota is configured, not when it is used.
    """
    return Terms(quota)


@lru_cache(_KEPT)
def arguments_of(quota: Quota, cost: int) -> tuple[bytes, ...]:
    """A limit's arguments of the function.

    Raises:
        InvalidOptionError: the quota is out of range, or the cost negative.
    """
    if cost < 0:
        raise InvalidOptionError("cost must not be negative")
    return terms_of(quota).arguments(cost)
