"""Token time: the clock of a token bucket, counted in tokens instead of seconds.

A bucket is one moment for each key, the *theoretical arrival time* of GCRA (ITU-T I.371): when the bucket is
full again. A request that costs ``c`` tokens moves it by what ``c`` tokens take to come back. Counted in
nanoseconds that is hardly ever a whole number, and rounding it would add up over millions of requests. So
moments are counted in *grains*, of which one token has ``2**k``: costs are exact, and only the clock is
rounded, which never adds up. A grain is an eighth to a quarter of a nanosecond long, whatever the rate; a
request is granted at the moment that exact arithmetic names or less than a nanosecond before, never later.

::

    now = elapsed nanoseconds * multiplier / 2**61       64-bit integers, 128 in between
"""

from __future__ import annotations

from sigil_native.errors import InvalidOptionError

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from typing import Final

SHIFT: Final = 61
#: Token time at the epoch of a table. Its clock may go back this many nanoseconds from there, and ahead as
#: many: 9 years.
ORIGIN: Final = 1 << 58
HORIZON: Final = 1 << 59

_NANOSECONDS: Final = 10**9
_HIGHEST_RATE: Final = 10**9
#: A bucket must fill within a leap year.
_LONGEST_FILLING: Final = 366 * 86400


class TokenTime:
    """What a rate and a burst are in grains.

    Attributes:
        multiplier: grains a nanosecond, times ``2**61``; from ``2**63`` to ``2**64``.
        token: grains a token; a power of two.
        burst: tokens that a full bucket holds.
    """

    __slots__ = ("burst", "multiplier", "token")

    def __init__(self, rate: object, burst: object) -> None:
        """Convert a rate in tokens a second, and a burst in tokens.

        Raises:
            TypeError: of a wrong type.
            InvalidOptionError: out of range, or the bucket would take more than a year to fill.
        """
        if not isinstance(rate, (int, float)) or isinstance(rate, bool):
            raise TypeError(f"rate must be a number of tokens a second, not {type(rate).__name__}")
        if not isinstance(burst, int) or isinstance(burst, bool):
            raise TypeError(f"burst must be int, not {type(burst).__name__}")
        if not 0 < rate <= _HIGHEST_RATE:
            raise InvalidOptionError(f"rate must be more than 0 and at most {_HIGHEST_RATE} tokens a second")
        if burst < 1:
            raise InvalidOptionError("burst must be at least 1")
        numerator, denominator = rate.as_integer_ratio()
        if burst * denominator > _LONGEST_FILLING * numerator:
            raise InvalidOptionError("a bucket must fill within 366 days: raise rate or lower burst")
        denominator *= _NANOSECONDS
        bits = 64 + denominator.bit_length() - numerator.bit_length()
        # Rounded up: a request is granted when exact arithmetic says so, or less than a nanosecond before.
        self.multiplier = -(-(numerator << bits) // denominator)
        if self.multiplier >> 64:
            bits -= 1
            self.multiplier = -(-(numerator << bits) // denominator)
        self.token = 1 << (bits - SHIFT)
        self.burst = burst

    def grains(self, nanoseconds: int) -> int:
        """Token time so many nanoseconds after a table's epoch, which may be before it."""
        elapsed = min(max(nanoseconds + ORIGIN, 0), HORIZON)
        return elapsed * self.multiplier >> SHIFT

    def seconds(self, grains: int) -> float:
        """How long so many grains take at most, to the nanosecond."""
        if grains <= 0:
            return 0.0
        return float(-(-(grains << SHIFT) // self.multiplier)) / _NANOSECONDS
