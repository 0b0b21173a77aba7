"""What callers are told about their limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from app.http.problems import Headers, ProblemError
from core.limits.quota import Quota
from sigil_native import Decision
from sigil_native.asgi import RateHeaders, RatePolicy

_RETRY_AFTER: Final = b"retry-after"


@lru_cache(4096)
def rate_headers(*named: tuple[str, Quota]) -> RateHeaders:
    """The writer of the header fields for some limits."""
    return RateHeaders(
        [RatePolicy(name, quota.limit, quota.window, burst=quota.burst) for name, quota in named]
    )


def refused(decisions: Sequence[Decision]) -> int | None:
    """The place of the first limit that does not allow a request; None if all do."""
    for place, decision in enumerate(decisions):
        if not decision[0]:
            return place
    return None


def too_many(limit: str, fields: Headers) -> ProblemError:
    """The refusal of a request by a kind of limit; the fields go into the answer by themselves."""
    if any(name == _RETRY_AFTER for name, _ in fields):
        return ProblemError("rate_limited", f"the limit of this {limit} is used up")
    return ProblemError("rate_limited", f"this asks for more than the {limit}'s limit ever allows at once")
