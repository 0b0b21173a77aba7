"""The limit of those who are nobody yet, by their address."""

from __future__ import annotations

from typing import Protocol

from app.http.context import Context
from app.limits.answers import rate_headers, too_many
from app.limits.outcomes import Outcomes
from core.limits.quota import Quota
from sigil_native import TokenBucket
from sigil_native.asgi import ClientAddress


class AddressLimits(Protocol):
    """What a request has to pass whose caller is not known to be good."""

    def admit(self, context: Context) -> None:
        """Count a request.

        Raises:
            ProblemError: ``rate_limited``.
        """

    def pardon(self, context: Context) -> None:
        """Take back that a request was counted: its token is good, or it is not its fault."""


class NoAddressLimits:
    """Where rate limits are switched off."""

    def admit(self, context: Context) -> None:
        """See AddressLimits.admit."""

    def pardon(self, context: Context) -> None:
        """See AddressLimits.pardon."""


class CountedAddresses:
    """Counts requests by address.

    A request is counted before its token is looked at, and pardoned if that is good: so no more signatures
    are verified at once than the limit allows.
    """

    def __init__(
        self,
        buckets: TokenBucket,
        quota: Quota,
        address_of: ClientAddress,
        outcomes: Outcomes,
        *,
        shadow: bool,
    ) -> None:
        """Count in these buckets, which have this quota; ``shadow``: and let everything pass."""
        self._buckets = buckets
        self._headers = rate_headers(("address", quota))
        self._address_of = address_of
        self._outcomes = outcomes
        self._shadow = shadow

    def admit(self, context: Context) -> None:
        """See AddressLimits.admit."""
        address = self._address_of(context.scope)
        decision = self._buckets.check(address)
        if decision.allowed:
            self._outcomes.decided("address", "allowed")
        else:
            self._outcomes.refused(context, "address", address=address)
        if self._shadow:
            return
        context.rate_headers = self._headers.fields((decision,))
        if not decision.allowed:
            raise too_many("address", context.rate_headers)

    def pardon(self, context: Context) -> None:
        """See AddressLimits.pardon."""
        # In shadow mode a refused request has taken nothing; giving one back then errs to its side.
        self._buckets.refund(self._address_of(context.scope))
        context.rate_headers = ()
