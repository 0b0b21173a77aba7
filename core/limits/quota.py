"""How much somebody may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec

from sigil_native import InvalidOptionError, TokenBucket

#: A leap year.
_LONGEST_FILLING: Final = 366 * 86400


class Quota(msgspec.Struct, frozen=True):
    """A token bucket's measure: so many requests a window in the long run, and ``burst`` of them at once.

    Attributes:
        limit: requests a window.
        window: seconds.
        burst: requests that a full bucket holds.
    """

    limit: int
    window: int
    burst: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.limit / self.window

    def described(self) -> str:
        """In words, for logs."""
        burst = "" if self.burst == self.limit else f", {self.burst} at once"
        return f"{self.limit} in {self.window} s{burst}"


class Override(msgspec.Struct, frozen=True):
    """What holds for a tenant in the place of what holds for all. None: the same as for all.

    Attributes:
        user: of each of its users.
        tenant: of all of them together.
    """

    user: Quota | None
    tenant: Quota | None


class Quotas(msgspec.Struct, frozen=True):
    """What each user and each tenant may ask for.

    Attributes:
        user: of a user, unless an override says otherwise.
        tenant: of a tenant, likewise.
        overrides: by tenant.
    """

    user: Quota
    tenant: Quota
    overrides: Mapping[str, Override] = {}

    def of(self, tenant: str) -> tuple[Quota, Quota]:
        """The quota of each of a tenant's users, and that of all together."""
        override = self.overrides.get(tenant)
        if override is None:
            return self.user, self.tenant
        return override.user or self.user, override.tenant or self.tenant


def check_quota(quota: Quota) -> None:
    """Refuse what no limiter can keep.

    Raises:
        ValueError: saying why.
    """
    if quota.burst * quota.window > _LONGEST_FILLING * quota.limit:
        raise ValueError("a full bucket would take more than 366 days: raise the limit or lower the burst")
    try:
        TokenBucket(quota.rate, quota.burst, capacity=1)
    except InvalidOptionError as error:
        raise ValueError(str(error)) from None


@lru_cache(4096)
def share_of(quota: Quota, share: Fraction) -> Quota:
    """A part of a quota: rate and burst of it, but a burst of at least 1."""
    burst = max(int(quota.burst * share), 1)
    return Quota(quota.limit * share.numerator, quota.window * share.denominator, burst)
