"""What the verbs for many at once have in common: what lines cost, how they are read, and how one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from app.api.schemas import failed_line
from app.http.context import Context
from app.http.problems import ProblemError, problem_from
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.errors import PayloadMissingError
from core.sealed_records import pieces_of
from core.time_slices import TimeSlices
from sigil_native import SealRequests, VerifyRequests
from sigil_native.errors import CanonicalizationError

_Requests = TypeVar("_Requests", bound=SealRequests | VerifyRequests)

_encode_lines = msgspec.json.Encoder().encode_lines


class Payment:
    """Has callers pay for lines: a batch costs what its lines would cost alone."""

    def __init__(self, limits: RateLimits, audit: Audit) -> None:
        self._limits = limits
        self._audit = audit

    async def pay(self, context: Context, lines: int, answered: int) -> None:
        """Have the caller's limits allow some lines, all or none, behind those that were answered.

        Raises:
            ProblemError: ``rate_limited``.
            LimiterUnavailableError: nobody can tell.
            AuditUnavailableError: nothing may be done now.
        """
        context.items = answered + lines
        self._audit.check()
        # The first one was paid for when the request was let in.
        await self._limits.callers.charge(context, lines if answered else lines - 1)


async def read_all(
    requests: _Requests, accept: Callable[[_Requests, int], object], slices: TimeSlices
) -> int:
    """Read all lines, or refuse them; how many were refused.

    Args:
        requests: the lines.
        accept: reads one that is not plain, by its place, and accepts it; its error is the line's.
        slices: of the work.
    """
    refused = 0
    for first, last in pieces_of(requests):
        for place in requests.read(first, last):
            try:
                accept(requests, place)
            except (CanonicalizationError, PayloadMissingError, ProblemError) as error:
                requests.refuse(place, _failed(requests.number(place), error))
                refused += 1
            await slices.pause()
        await slices.pause()
    return refused


def _failed(number: int, error: Exception) -> bytes:
    """The answer to a line that is wrong; an error that is no problem of its caller's is raised."""
    problem = problem_from(error)
    if problem is None:
        raise error
    return _encode_lines([failed_line(number, problem)])
