"""A token bucket in exact arithmetic, as textbooks have it: what all limiters are held against."""

from __future__ import annotations

from fractions import Fraction


class TokenBucketModel:
    """Tokens that come back at ``rate`` a second, up to ``burst``, which are there at first.

    Moments are seconds. One before the last counts as the last: time does not go back for this bucket.
    """

    def __init__(self, rate: Fraction, burst: int) -> None:
        """Make a full bucket; ``rate`` is tokens a second."""
        self.rate = rate
        self.burst = burst
        self._tokens = Fraction(burst)
        self._moment: Fraction | None = None

    def tokens_at(self, now: Fraction) -> Fraction:
        """Tokens that are there, whole or not; negative after a charge beyond them."""
        if self._moment is None or now <= self._moment:
            return self._tokens
        return min(self._tokens + (now - self._moment) * self.rate, Fraction(self.burst))

    def take(self, now: Fraction, cost: int) -> bool:
        """Take tokens if they are there; whether they were."""
        if self.tokens_at(now) < cost:
            return False
        self.charge(now, cost)
        return True

    def charge(self, now: Fraction, cost: int) -> None:
        """Take tokens, there or not: somebody has granted them."""
        self._tokens = self.tokens_at(now) - cost
        self._moment = now if self._moment is None else max(now, self._moment)

    def wait(self, now: Fraction, cost: int) -> Fraction:
        """Seconds until so many tokens are there if nobody else asks; the bucket must hold as many."""
        if cost > self.burst:
            raise ValueError("never")
        return max((cost - self.tokens_at(now)) / self.rate, Fraction(0))
