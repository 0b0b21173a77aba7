"""All rate limits of the service together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from app.limits.addresses import AddressLimits, CountedAddresses, NoAddressLimits
from app.limits.callers import CallerLimits, CountedCallers, NoCallerLimits
from app.limits.outcomes import Outcomes
from app.limits.overrides import OverrideReloading
from app.server.reloading import Reloadable
from core.audit.interface import Audit, AuditEvent
from core.errors import LimiterUnavailableError
from core.limits.counting import Counting, counting_from
from core.limits.interface import Condition
from core.limits.observation import BackendState, LimitObserver
from core.limits.overrides import read_overrides
from core.limits.quota import Quotas
from core.rate_settings import RateSettings
from core.settings_loading import SettingsError
from sigil_native.asgi import ClientAddress


class RateLimits:
    """What requests have to pass, and how those who keep count do.

    Attributes:
        callers: for authenticated requests.
        addresses: for all others but the probes.
        reloadables: what is read again when it changes.
    """

    def __init__(
        self,
        callers: CallerLimits,
        addresses: AddressLimits,
        counting: Counting | None,
        reloadables: Sequence[Reloadable] = (),
        *,
        enforced: bool = True,
    ) -> None:
        """See ``rate_limits_from``."""
        self.callers = callers
        self.addresses = addresses
        self.reloadables = reloadables
        self._counting = counting
        self._enforced = enforced

    @property
    def condition(self) -> Literal["ok", "degraded", "off"]:
        """How those who keep count do."""
        return "off" if self._counting is None else self._counting.condition

    @property
    def loads(self) -> Mapping[str, tuple[int, int]]:
        """Keys that each kind of table has, and room for how many; takes a moment."""
        return {} if self._counting is None else self._counting.loads

    def check(self) -> None:
        """Ask whether an encode would be let through at all.

        Raises:
            LimiterUnavailableError: nobody can count it, and it is denied then.
        """
        if self._counting is not None and self._enforced and not self._counting.serves("encode"):
            raise LimiterUnavailableError("open")

    def start(self) -> None:
        """Begin to look after those who keep count. Needs a running event loop."""
        if self._counting is not None:
            self._counting.start()

    async def close(self) -> None:
        """Give up connections and files."""
        if self._counting is not None:
            await self._counting.close()


def no_rate_limits() -> RateLimits:
    """Limits that nobody keeps."""
    return RateLimits(NoCallerLimits(), NoAddressLimits(), None)


def rate_limits_from(
    settings: RateSettings, folder: Path | None, audit: Audit, observer: LimitObserver
) -> RateLimits:
    """The limits that the settings describe.

    Args:
        settings: complete and checked.
        folder: where the workers of this host share their tables; None for one alone.
        audit: where refusals and changes are noted.
        observer: is told of every decision.

    Raises:
        SettingsError: the file of overrides has changed for the worse since it was checked.
        LimiterUnavailableError: a table in the folder cannot be used.
    """
    if settings.rate_mode == "off":
        return no_rate_limits()

    def changed(condition: Condition, failing: frozenset[str]) -> None:
        event: AuditEvent = "limiter.recovered" if condition == "ok" else "limiter.degraded"
        audit.note(event, nodes=", ".join(sorted(failing)) or None)
        observer.backend_is("redis", "ok" if condition == "ok" else away)

    # Where all calls are denied, nothing takes the place of Redis.
    away: BackendState = "down" if set(settings.rate_outage.values()) == {"deny"} else "degraded"
    if settings.redis_url is not None:
        observer.backend_is("redis", "ok")

    quotas = _quotas_from(settings)
    counting = counting_from(settings, folder, changed)
    shadow = settings.rate_mode == "shadow"
    outcomes = Outcomes(audit, observer, lambda: counting.full, shadow=shadow)
    callers = CountedCallers(counting, quotas, settings.rate_share, outcomes, shadow=shadow)
    addresses = CountedAddresses(
        counting.addresses,
        settings.address_quota,
        ClientAddress(settings.trusted_proxies),
        outcomes,
        shadow=shadow,
    )
    path = settings.rate_overrides
    reloadables = [] if path is None else [OverrideReloading(path, quotas, callers.use)]
    return RateLimits(callers, addresses, counting, reloadables, enforced=not shadow)


def _quotas_from(settings: RateSettings) -> Quotas:
    quotas = settings.default_quotas
    if settings.rate_overrides is None:
        return quotas
    try:
        overrides = read_overrides(settings.rate_overrides, settings.rate_window)
    except ValueError as error:
        raise SettingsError([f"SIGIL_RATE_OVERRIDES: {error}"]) from None
    return Quotas(quotas.user, quotas.tenant, overrides)
