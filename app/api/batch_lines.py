"""What the verbs for many at once have in common: what lines cost, and how one of them fails."""

from __future__ import annotations

from app.api.schemas import FailedLine, failed_line
from app.http.context import Context
from app.http.problems import problem_from
from app.limits.limits import RateLimits
from core.audit.interface import Audit


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


def failed(number: int, error: Exception) -> FailedLine:
    """The answer to a line that is wrong; an error that is no problem of its caller's is raised."""
    problem = problem_from(error)
    if problem is None:
        raise error
    return failed_line(number, problem)
