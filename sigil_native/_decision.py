"""What a token bucket says of a request."""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from typing import NamedTuple

    class Decision(NamedTuple):
        """See below."""

        allowed: bool
        limit: int
        remaining: int
        retry_after: float
        reset_after: float

else:

    class Decision(namedtuple("Decision", "allowed limit remaining retry_after reset_after")):
        """Whether a request is within its limit, and how things stand after it.

        Attributes:
            allowed: whether the tokens were there; they are taken then, and none is otherwise.
            limit: tokens that a full bucket holds.
            remaining: whole tokens that are there now.
            retry_after: seconds until the same request is allowed if nobody else asks: 0.0 if it was,
                ``inf`` if it costs more than a full bucket holds.
            reset_after: seconds until the bucket is full if nobody asks.
        """

        __slots__ = ()
