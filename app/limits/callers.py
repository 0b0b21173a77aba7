"""The limits of authenticated callers: each user's, and each tenant's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final, Protocol

from app.http.context import Caller, Context
from app.limits.answers import rate_headers, refused, too_many
from app.limits.outcomes import Outcomes
from core.errors import LimiterUnavailableError
from core.limits.counting import Counting
from core.limits.interface import Answer, Limit
from core.limits.local import LocalLimiter
from core.limits.quota import Quotas, share_of
from core.limits.routes import COSTS, RouteClass
from sigil_native import Allowance, Decision
from sigil_native.asgi import RateHeaders

#: Callers whose limits are kept ready; more than there are verified tokens in memory.
_PLANS: Final = 8192


class CallerLimits(Protocol):
    """What an authenticated request has to pass before its body is read."""

    async def admit(self, context: Context, caller: Caller, route_class: RouteClass) -> None:
        """Count a request of a caller.

        Raises:
            ProblemError: ``rate_limited``.
            LimiterUnavailableError: nobody can tell, and such calls are denied then.
        """

    def admit_now(self, context: Context, caller: Caller, route_class: RouteClass) -> None:
        """The same at once, where ``is_prompt``."""

    def admit_all_now(self, context: Context, caller: Caller, route_class: RouteClass, items: int) -> bool:
        """Count a request and all that it asks for, where ``is_prompt``.

        Returns:
            Whether that is allowed. If not, nothing is counted or told.
        """

    @property
    def is_prompt(self) -> bool:
        """Whether nobody else has to be asked."""

    async def charge(self, context: Context, items: int) -> None:
        """Count what an admitted request asks for beyond its first item: all of it, or none.

        Raises:
            ProblemError: ``rate_limited``; nothing may be done of what was asked for.
            LimiterUnavailableError: as above.
        """


class NoCallerLimits:
    """Where rate limits are switched off."""

    is_prompt = True

    async def admit(self, context: Context, caller: Caller, route_class: RouteClass) -> None:
        """See CallerLimits.admit."""

    def admit_now(self, context: Context, caller: Caller, route_class: RouteClass) -> None:
        """See CallerLimits.admit_now."""

    def admit_all_now(self, context: Context, caller: Caller, route_class: RouteClass, items: int) -> bool:
        """See CallerLimits.admit_all_now."""
        return True

    async def charge(self, context: Context, items: int) -> None:
        """See CallerLimits.charge."""


class _Plan:
    """What holds for a caller.

    Attributes:
        limits: of the user and the tenant.
        headers: writes what is told about them.
        share_headers: about those that this host keeps while Redis is away.
    """

    __slots__ = ("_allowance", "_generation", "_group", "headers", "limits", "share_headers")

    def __init__(
        self, group: str, limits: tuple[Limit, ...], headers: RateHeaders, share_headers: RateHeaders
    ) -> None:
        self._group = group
        self.limits = limits
        self.headers = headers
        self.share_headers = share_headers
        self._allowance: Allowance | None = None
        self._generation = 0

    def allowance(self, limiter: LocalLimiter) -> Allowance:
        """The limits, ready to be taken from where this host keeps them.

        Raises:
            LimiterUnavailableError: see ``LocalLimiter.take``.
        """
        found = self._allowance
        if found is None or self._generation != limiter.generation:
            found = self._allowance = limiter.allowance(self._group, self.limits, self.headers)
            self._generation = limiter.generation
        return found


class CountedCallers:
    """Counts callers' requests: those of a user, which is a subject of an issuer, and those of a tenant.

    Both are what a verified token says, whatever else a request says.
    """

    def __init__(
        self, counting: Counting, quotas: Quotas, share: Fraction, outcomes: Outcomes, *, shadow: bool
    ) -> None:
        """Count by these quotas; ``shadow``: and let everything pass."""
        self._limiters = counting.callers
        self._local = counting.local
        self.is_prompt: Final = self._local is not None
        self._quotas = quotas
        self._share = share
        self._outcomes = outcomes
        self._shadow = shadow
        self._plan: Callable[[str, str, str], _Plan] = self._planner()

    def use(self, quotas: Quotas) -> None:
        """Count by other quotas from now on. May be called from any thread."""
        self._quotas = quotas
        self._plan = self._planner()

    async def admit(self, context: Context, caller: Caller, route_class: RouteClass) -> None:
        """See CallerLimits.admit."""
        context.route_class = route_class
        plan = self._plan(caller.tenant, caller.issuer, caller.subject)
        try:
            decisions = await self._limiters[route_class].take(caller.tenant, plan.limits, COSTS[route_class])
        except LimiterUnavailableError as error:
            self._outcomes.unavailable("user", error)
            if not self._shadow:
                raise
            return
        user, tenant = decisions
        if user[0] and tenant[0]:
            self._allow(context, plan, decisions)
        else:
            self._refuse(context, caller, plan, decisions)

    def admit_now(self, context: Context, caller: Caller, route_class: RouteClass) -> None:
        """See CallerLimits.admit_now."""
        if self._local is None:
            raise RuntimeError("somebody else has to be asked")
        context.route_class = route_class
        plan = self._plan(caller.tenant, caller.issuer, caller.subject)
        try:
            found = plan.allowance(self._local).take(COSTS[route_class])
        except LimiterUnavailableError as error:
            self._outcomes.unavailable("user", error)
            if not self._shadow:
                raise
            return
        if isinstance(found, bytes):
            self._outcomes.decided("user", "allowed")
            if not self._shadow:
                context.rate_lines = found
        else:
            self._refuse(context, caller, plan, found)

    def admit_all_now(self, context: Context, caller: Caller, route_class: RouteClass, items: int) -> bool:
        """See CallerLimits.admit_all_now."""
        if self._local is None:
            return False
        plan = self._plan(caller.tenant, caller.issuer, caller.subject)
        try:
            found = plan.allowance(self._local).take(items * COSTS[route_class])
        except LimiterUnavailableError:
            return False
        if not isinstance(found, bytes):
            return False
        context.route_class = route_class
        for _ in range(min(items, 2)):  # the request, and what it asks for beyond its first item
            self._outcomes.decided("user", "allowed")
        if not self._shadow:
            context.rate_lines = found
        return True

    async def charge(self, context: Context, items: int) -> None:
        """See CallerLimits.charge."""
        if items <= 0:
            return
        caller, route_class = context.caller, context.route_class
        plan = self._plan(caller.tenant, caller.issuer, caller.subject)
        cost = COSTS[route_class]
        try:
            decisions = await self._limiters[route_class].take(caller.tenant, plan.limits, items * cost)
        except LimiterUnavailableError as error:
            self._outcomes.unavailable("user", error)
            if not self._shadow:
                raise
            return
        if refused(decisions) is not None:
            # Whoever tries again asks for the first item too.
            headers = _headers(plan, decisions)
            whole = (items + 1) * cost
            retold = [
                policy.refusal(decision, whole)
                for policy, decision in zip(headers.policies, decisions, strict=True)
            ]
            self._refuse(context, caller, plan, retold, headers)
        else:
            self._allow(context, plan, decisions)

    def _allow(self, context: Context, plan: _Plan, decisions: Sequence[Decision]) -> None:
        headers = plan.headers
        if isinstance(decisions, Answer):
            if decisions.source == "allow":
                # Nobody has counted, so there is nothing to tell.
                self._outcomes.decided("user", "unavailable")
                return
            headers = _headers(plan, decisions)
        self._outcomes.decided("user", "allowed")
        if not self._shadow:
            context.rate_headers = headers.fields(decisions)

    def _refuse(
        self,
        context: Context,
        caller: Caller,
        plan: _Plan,
        decisions: Sequence[Decision],
        headers: RateHeaders | None = None,
    ) -> None:
        place = refused(decisions)
        name = plan.limits[place or 0].name
        self._outcomes.refused(context, name, **caller.named())
        if not self._shadow:
            fields = (headers or _headers(plan, decisions)).fields(decisions)
            context.rate_headers = fields
            raise too_many(name, fields)

    def _planner(self) -> Callable[[str, str, str], _Plan]:
        quotas, share = self._quotas, self._share

        @lru_cache(_PLANS)
        def plan(tenant: str, issuer: str, subject: str) -> _Plan:
            user_quota, tenant_quota = quotas.of(tenant)
            limits = (
                # The length keeps apart what would look alike.
                Limit("user", f"{len(issuer)}:{issuer}{subject}", user_quota),
                Limit("tenant", "", tenant_quota),
            )
            named = [(limit.name, limit.quota) for limit in limits]
            shares = [(limit.name, share_of(limit.quota, share)) for limit in limits]
            return _Plan(tenant, limits, rate_headers(*named), rate_headers(*shares))

        return plan


def _headers(plan: _Plan, decisions: Sequence[Decision]) -> RateHeaders:
    is_share = isinstance(decisions, Answer) and decisions.source == "local"
    return plan.share_headers if is_share else plan.headers
