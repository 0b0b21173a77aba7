"""What a caller may ask for, in plain Python: the oracle of the compiled one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn, Self, final

from sigil_native._arguments import allowance_places
from sigil_native._decision import Decision
from sigil_native._pure.bucket import TokenBucket
from sigil_native._rate_headers import RateHeaders


@final
class Allowance:
    """Limits that requests of one caller must all keep.

    A request takes its tokens from the buckets of all limits, or from none of them. Another thread that uses
    the buckets may be refused in the moment between; none is ever granted more than a limit.
    """

    __slots__ = ("_headers", "_places")

    _headers: RateHeaders | None
    _places: list[Any]

    # Not __init__, so that the limits stay what they are, whoever calls that again.
    def __new__(
        cls, places: Iterable[tuple[TokenBucket, str | bytes]], headers: RateHeaders | None = None
    ) -> Self:
        """Put limits together.

        Args:
            places: a bucket and a key in it, for each limit; 16 at most.
            headers: tells about these limits, in their order; None: ``take`` is not needed.

        Raises:
            TypeError: an argument of a wrong type.
            InvalidOptionError: no place or too many, or not as many as the headers have policies.
        """
        self = super().__new__(cls)
        self._places = allowance_places(places, headers, TokenBucket)
        self._headers = headers
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"{Allowance.__name__} is final")

    def __reduce__(self) -> NoReturn:
        raise TypeError("Allowance cannot be pickled")

    def check(self, cost: int = 1) -> list[Decision]:
        """Take tokens, if all buckets have them, and tell how things stand after it. A cost of 0 only looks.

        Args:
            cost: tokens of each bucket.

        Returns:
            A decision for each limit. One that would have allowed what another refused says so, and has its
            tokens back.

        Raises:
            TypeError, InvalidOptionError: no cost.
        """
        decisions: list[Decision] = []
        try:
            for bucket, key in self._places:
                decisions.append(bucket.check(key, cost))
        except BaseException:  # of a bucket's own clock
            self._give_back(decisions, cost)
            raise
        if not all(decision.allowed for decision in decisions):
            for index in self._give_back(decisions, cost):
                bucket, key = self._places[index]
                # It would allow the request; this is how it stands without it.
                decisions[index] = bucket.check(key, 0)
        return decisions

    def take(self, cost: int = 1) -> bytes | list[Decision]:
        """As ``check``, but where all allow it: the header fields, as ``RateHeaders.lines`` writes them."""
        decisions = self.check(cost)
        if not all(decision.allowed for decision in decisions):
            return decisions
        return b"" if self._headers is None else self._headers.lines(decisions)

    def _give_back(self, decisions: list[Decision], cost: int) -> list[int]:
        """Give back what was taken; from which places."""
        granted = [index for index, decision in enumerate(decisions) if decision.allowed]
        for index in granted:
            bucket, key = self._places[index]
            bucket.refund(key, cost)
        return granted
