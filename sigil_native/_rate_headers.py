"""The header fields that tell callers about their rate limits.

Two families of them, from the same numbers:

- ``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` know one limit: the one that binds most.
  ``Remaining`` requests that cost one token are allowed now and the next is not; the bucket is full after
  ``Reset`` seconds.
- ``RateLimit-Policy`` and ``RateLimit`` list them all (draft-ietf-httpapi-ratelimit-headers-11): ``q`` tokens
  in ``w`` seconds in the long run; ``r`` tokens now, and no more than those within ``t`` seconds (section
  4.1.2). For a bucket that refills steadily ``t`` is the time until the next whole token. A bucket that
  holds more or less than ``q`` says so with a parameter of our own, ``sigil-burst`` (section 3.1).

``Retry-After`` comes with refusals: when the same request is allowed, if nobody else asks. The end of ``t``
is never behind it (section 6). A request that costs more than a full bucket holds is never allowed, and gets
none.

All seconds are whole and rounded up, so that whoever waits has waited long enough. The nanosecond that a
bucket may have rounded up itself is left out, or a limit of 1 in 60 s would tell callers to wait for 61.
"""

from __future__ import annotations

from math import ceil, inf

from sigil_native.errors import InvalidOptionError

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from sigil_native._decision import Decision

#: What a bucket's own rounding may add to a number of seconds, and the arithmetic of floats to each of them.
_TICK: Final = 1e-9
_NOISE: Final = 1e-15
#: What a structured field's integer may be at most (RFC 9651 section 3.3.1).
_LARGEST_INTEGER: Final = 10**15 - 1


def _positive(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be int, not {type(value).__name__}")
    if not 1 <= value <= _LARGEST_INTEGER:
        raise InvalidOptionError(f"{what} must be between 1 and {_LARGEST_INTEGER}")
    return value


class RatePolicy:
    """What one limit promises, whoever asks.

    Attributes:
        name: of the limit, for callers to read.
        quota: tokens a window in the long run.
        window: seconds.
        burst: tokens that a full bucket holds.
        item: the name as structured fields have it.
        seconds_a_token: that it takes to come back.
        stand: this limit in ``RateLimit``, for the tokens that remain and the seconds of its window.
    """

    __slots__ = ("burst", "item", "name", "quota", "seconds_a_token", "stand", "window")

    def __init__(
        self, name: str, quota: int, window: int, *, burst: int | None = None, rate: float | None = None
    ) -> None:
        """Describe a limit.

        Args:
            name: printable ASCII without quotes and backslashes.
            quota: tokens a window in the long run.
            window: whole seconds.
            burst: tokens that a full bucket holds; ``quota`` by default.
            rate: tokens a second, for where ``quota / window`` is not exactly that.

        Raises:
            TypeError: an argument of a wrong type.
            InvalidOptionError: an argument out of range.
        """
        if not isinstance(name, str):
            raise TypeError(f"name must be str, not {type(name).__name__}")
        if not name or not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
            raise InvalidOptionError("name must be printable ASCII without quotes and backslashes")
        self.name = name
        self.quota = _positive(quota, "quota")
        self.window = _positive(window, "window")
        self.burst = self.quota if burst is None else _positive(burst, "burst")
        if rate is not None and not rate > 0:
            raise InvalidOptionError("rate must be more than 0")
        self.seconds_a_token = window / quota if rate is None else 1 / rate
        self.item = b'"%s"' % name.encode()
        self.stand = self.item.replace(b"%", b"%%") + b";r=%d;t=%d"

    def __repr__(self) -> str:
        return f"RatePolicy({self.name!r}, {self.quota}, {self.window}, burst={self.burst})"

    def policy_item(self) -> bytes:
        """This limit in ``RateLimit-Policy``."""
        burst = b"" if self.burst == self.quota else b";sigil-burst=%d" % self.burst
        return b"%s;q=%d;w=%d%s" % (self.item, self.quota, self.window, burst)

    def limit_item(self, decision: Decision, at_most: float = inf) -> bytes:
        """This limit in ``RateLimit``, as a decision left it; the window ends in ``at_most`` seconds."""
        _, limit, remaining, _, reset_after = decision
        # All tokens that are missing come back in reset_after seconds, the next one before all others.
        wait = reset_after - (limit - remaining - 1) * self.seconds_a_token
        # Mostly less than a second. This is written for every request.
        seconds: float = 1 if wait <= 1 else min(whole_seconds(wait), at_most)
        return self.stand % (remaining, seconds)

    def refusal(self, decision: Decision, tokens: int) -> Decision:
        """A refusal of the last of so many tokens, with the time until all of them are there at once."""
        _, limit, _, wait, reset_after = decision
        if tokens > limit:
            return decision._replace(retry_after=inf)
        whole = reset_after - (limit - tokens) * self.seconds_a_token
        return decision._replace(retry_after=max(wait, whole))


def whole_seconds(seconds: float) -> int:
    """Seconds, rounded up."""
    return ceil(seconds - _TICK - seconds * _NOISE)


def _tightness(decision: Decision) -> tuple[bool, int, float]:
    return decision[0], decision[2], -decision[4]


class RateHeaders:
    """Writes the header fields of one set of limits. Shared by all requests that have these limits.

    Attributes:
        pieces: what stands between the numbers of ``lines``, which are: tokens of a full bucket, tokens that
            remain and seconds until it is full, of the limit that binds most; then for each limit the tokens
            that remain and the seconds of its window.
    """

    __slots__ = ("_lines", "_policies", "_policy_field", "pieces")

    def __init__(self, policies: Iterable[RatePolicy]) -> None:
        """Prepare what is the same for all requests.

        Raises:
            InvalidOptionError: no policy, or two of one name.
        """
        self._policies = tuple(policies)
        if not self._policies or len({policy.name for policy in self._policies}) < len(self._policies):
            raise InvalidOptionError("policies must be one or more, each of another name")
        items = b", ".join(item.policy_item() for item in self._policies)
        self._policy_field = (b"ratelimit-policy", items)
        # "x-ratelimit-limit: N\r\n" and so on, with the end of a line in front of the next.
        ends = [b"%b;r=" % item.item for item in self._policies]
        self.pieces = (
            *(b"x-ratelimit-limit: ", b"\r\nx-ratelimit-remaining: ", b"\r\nx-ratelimit-reset: "),
            b"\r\nratelimit-policy: %b\r\nratelimit: %b" % (items, ends[0]),
            *(piece for end in ends[1:] for piece in (b";t=", b", " + end)),
            *(b";t=", b"\r\n"),
        )
        self._lines = b"%d".join(piece.replace(b"%", b"%%") for piece in self.pieces)

    @property
    def policies(self) -> tuple[RatePolicy, ...]:
        """The limits, in their order."""
        return self._policies

    def fields(self, decisions: Sequence[Decision]) -> list[tuple[bytes, bytes]]:
        """The header fields after a request.

        Args:
            decisions: one for each limit, in their order. The request was refused if any of them says so.

        Returns:
            Pairs of a lower-case name and a value, as ASGI takes them.
        """
        # Written for every request, so it makes one round, and calls nothing that it can do without.
        stands = []
        least, longest, most = inf, 0.0, 0
        for policy, (allowed, limit, remaining, _, reset_after) in zip(
            self._policies, decisions, strict=True
        ):
            if not allowed:
                return self._refused(decisions)
            if remaining < least or (remaining == least and reset_after > longest):
                least, longest, most = remaining, reset_after, limit
            wait = reset_after - (limit - remaining - 1) * policy.seconds_a_token
            stands.append(policy.stand % (remaining, 1 if wait <= 1 else whole_seconds(wait)))
        return self._written(most, least, longest, stands)

    def lines(self, decisions: Sequence[Decision]) -> bytes:
        """The header fields of ``fields`` as HTTP/1.1 has them, each with its end of line."""
        stands: list[int] = []
        least, longest, most = inf, 0.0, 0
        for policy, (allowed, limit, remaining, _, reset_after) in zip(
            self._policies, decisions, strict=True
        ):
            if not allowed:
                return b"".join([b"%b: %b\r\n" % field for field in self._refused(decisions)])
            if remaining < least or (remaining == least and reset_after > longest):
                least, longest, most = remaining, reset_after, limit
            wait = reset_after - (limit - remaining - 1) * policy.seconds_a_token
            stands += (remaining, 1 if wait <= 1 else whole_seconds(wait))
        reset = 1 if 0 < longest <= 1 else whole_seconds(longest)
        return self._lines % (most, least, reset, *stands)

    def _refused(self, decisions: Sequence[Decision]) -> list[tuple[bytes, bytes]]:
        _, limit, remaining, _, reset_after = min(decisions, key=_tightness)
        wait = retry_after(decisions)
        # While a refused caller waits, no other window needs to be longer than that.
        at_most = inf if wait is None else wait
        stands = [
            policy.limit_item(decision, at_most)
            for policy, decision in zip(self._policies, decisions, strict=True)
        ]
        fields = self._written(limit, remaining, reset_after, stands)
        if wait is not None:
            fields.append((b"retry-after", b"%d" % wait))
        return fields

    def _written(
        self, limit: int, remaining: float, reset_after: float, stands: list[bytes]
    ) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-ratelimit-limit", b"%d" % limit),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % (1 if 0 < reset_after <= 1 else whole_seconds(reset_after))),
            self._policy_field,
            (b"ratelimit", b", ".join(stands)),
        ]


def retry_after(decisions: Iterable[Decision]) -> int | None:
    """Whole seconds until a refused request is allowed, if nobody else asks; None if it never is."""
    wait = max(decision[3] for decision in decisions)
    return None if wait == inf else max(whole_seconds(wait), 1)
