"""Who keeps count for the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import LimiterUnavailableError
from core.limits.interface import Condition, Limit, Limiter
from core.limits.local import LocalLimiter, table_file
from core.limits.overrides import MOST_QUOTAS
from core.limits.quota import Quota, Quotas, share_of
from core.limits.routes import ROUTE_CLASSES, Policy, RouteClass
from core.rate_settings import RateSettings
from sigil_native import BucketFileError, TokenBucket

if TYPE_CHECKING:
    from core.limits.outage import OutageLimiter

OnChange = Callable[[Condition, frozenset[str]], object]


class Counting:
    """Limiters for the callers' limits, one for each class of routes, and buckets for addresses.

    Addresses are counted by this host alone, whatever counts callers: a flood of strangers is no load for
    Redis, and costs each host no more than its own limit allows. Unlike a limiter, a bucket takes tokens
    back.

    Attributes:
        callers: by class of routes.
        addresses: a bucket for each address.
        local: counts callers by itself; None where another is asked first.
    """

    def __init__(
        self,
        callers: Mapping[RouteClass, Limiter],
        addresses: TokenBucket,
        shared: OutageLimiter | None,
        local: LocalLimiter,
        policies: Mapping[str, Policy],
    ) -> None:
        """See ``counting_from``."""
        self.callers = callers
        self.addresses = addresses
        self.local: Final = local if shared is None else None
        self._shared = shared
        self._local = local
        self._policies = policies

    @property
    def condition(self) -> Condition:
        """``degraded`` while Redis does not answer; what is kept on this host alone is always ``ok``."""
        return "ok" if self._shared is None else self._shared.condition

    @property
    def full(self) -> int:
        """How often a new key has found no room in a table of this process, as far as they are still open."""
        return self._local.full + self.addresses.full

    @property
    def loads(self) -> Mapping[str, tuple[int, int]]:
        """Keys that each kind of table has, and room for how many. Looks at all of them."""
        return {
            "callers": (self._local.live_keys(), self._local.capacity),
            "addresses": (self.addresses.live_keys(), self.addresses.capacity),
        }

    def serves(self, route_class: RouteClass) -> bool:
        """Whether calls of a class are answered now."""
        return self.condition == "ok" or self._policies[route_class] != "deny"

    def start(self) -> None:
        """Begin to look after Redis. Needs a running event loop."""
        if self._shared is not None:
            self._shared.start()

    async def close(self) -> None:
        """Give up connections and files."""
        await (self._local if self._shared is None else self._shared).close()


def counting_from(settings: RateSettings, folder: Path | None, on_change: OnChange) -> Counting:
    """Those who keep count, as the settings describe it.

    Args:
        settings: complete and checked.
        folder: where the workers of this host share the tables; None for this process alone.
        on_change: called when Redis fails, and when it works again.

    Raises:
        LimiterUnavailableError: a table in the folder cannot be used.
    """
    local = LocalLimiter(folder, settings.rate_capacity, tables=4 * MOST_QUOTAS)
    quotas = settings.default_quotas
    check_tables(local, quotas if settings.redis_url is None else share_of_all(quotas, settings.rate_share))
    addresses = _address_table(settings.address_quota, settings.rate_capacity, folder)
    if settings.redis_url is None:
        callers: dict[RouteClass, Limiter] = dict.fromkeys(ROUTE_CLASSES, local)
        return Counting(callers, addresses, None, local, settings.rate_outage)
    # Only here, as redis-py takes long to import.
    from core.limits.outage import OutageLimiter  # noqa: PLC0415
    from core.limits.redis_limiter import RedisLimiter  # noqa: PLC0415

    shared = OutageLimiter(
        RedisLimiter.from_url(
            settings.redis_url.get_secret_value(),
            client_time=settings.rate_client_time,
            lease=settings.rate_lease,
        ),
        local,
        settings.rate_outage,
        share=settings.rate_local_share,
        on_change=on_change,
    )
    views: dict[RouteClass, Limiter] = {name: shared.view(name) for name in ROUTE_CLASSES}
    return Counting(views, addresses, shared, local, settings.rate_outage)


def share_of_all(quotas: Quotas, share: Fraction) -> Quotas:
    """A part of the quotas that hold for those without overrides."""
    return Quotas(share_of(quotas.user, share), share_of(quotas.tenant, share))


def check_tables(local: LocalLimiter, quotas: Quotas) -> None:
    """Open the tables of the quotas that most requests need.

    Raises:
        LimiterUnavailableError: one cannot be used.
    """
    local.take_now("", (Limit("user", "", quotas.user), Limit("tenant", "", quotas.tenant)), 0)


def _address_table(quota: Quota, capacity: int, folder: Path | None) -> TokenBucket:
    path = None if folder is None else table_file(folder, "address", quota, capacity)
    try:
        return TokenBucket(quota.rate, quota.burst, capacity=capacity, path=path)
    except (BucketFileError, OSError) as error:
        raise LimiterUnavailableError("file") from error
