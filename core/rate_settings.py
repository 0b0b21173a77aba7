"""The settings of rate limits."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import NoDecode

import sigil_native
from core.limits.overrides import LARGEST_LIMIT, read_overrides
from core.limits.quota import Quota, Quotas, check_quota, share_of
from core.limits.redis_address import RedisAddress
from core.limits.routes import ROUTE_CLASSES, Policy
from core.setting_types import COMMA_SEPARATED, Folder
from sigil_native import InvalidOptionError
from sigil_native.asgi import ClientAddress

_WINDOW: Final = 10
#: A year. What fills in it, fills in a leap year, however rates are rounded.
_LONGEST_WINDOW: Final = 365 * 86400
#: Of a user's limit, that a tenant has where nothing is said.
_USERS: Final = 10
#: Shares have steps of this part.
_FINEST: Final = 1000
_POLICIES: Final = ("local", "deny", "allow")
#: What means nothing where there is no Redis.
_ABOUT_REDIS: Final = (
    "SIGIL_RATE_OUTAGE",
    "SIGIL_RATE_LOCAL_SHARE",
    "SIGIL_RATE_LEASE",
    "SIGIL_RATE_CLIENT_TIME",
)


def _policies(value: Any) -> Any:
    """A policy for each class of routes, from ``deny`` or ``allow,encode=deny``."""
    if not isinstance(value, str):
        return value
    rest: str | None = None
    named: dict[str, str] = {}
    for part in value.split(","):
        first, equals, last = (piece.strip() for piece in part.partition("="))
        policy = last if equals else first
        if policy not in _POLICIES:
            raise ValueError("a policy is local, deny or allow")
        if not equals:
            if rest is not None:
                raise ValueError("two policies for the same calls")
            rest = policy
        elif first not in ROUTE_CLASSES:
            raise ValueError(f"policies are for {', '.join(ROUTE_CLASSES)}")
        elif first in named:
            raise ValueError("two policies for the same calls")
        else:
            named[first] = policy
    return {name: named.get(name, rest or "local") for name in ROUTE_CLASSES}


def _redis_url(url: SecretStr) -> SecretStr:
    RedisAddress(url.get_secret_value()).check_files()
    return url


def _proxies(proxies: tuple[str, ...]) -> tuple[str, ...]:
    try:
        ClientAddress(proxies)
    except InvalidOptionError:
        raise ValueError(
            "must be addresses, networks like 10.0.0.0/8 without host bits, or unix, between commas"
        ) from None
    return proxies


_Limit = Annotated[int, Field(ge=1, le=LARGEST_LIMIT)]
_Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class RateSettings(BaseModel):
    """The part of the settings that says how much callers may ask for, and who keeps count."""

    rate_mode: Literal["enforce", "shadow", "off"] = Field(
        default="enforce", validation_alias="SIGIL_RATE_MODE"
    )
    rate_window: int = Field(default=_WINDOW, ge=1, le=_LONGEST_WINDOW, validation_alias="SIGIL_RATE_WINDOW")
    rate_limit: int = Field(
        default=200, ge=1, le=LARGEST_LIMIT // _USERS, validation_alias="SIGIL_RATE_LIMIT"
    )
    rate_burst: _Limit | None = Field(default=None, validation_alias="SIGIL_RATE_BURST")
    tenant_rate_limit: _Limit | None = Field(default=None, validation_alias="SIGIL_TENANT_RATE_LIMIT")
    tenant_rate_burst: _Limit | None = Field(default=None, validation_alias="SIGIL_TENANT_RATE_BURST")
    address_rate_limit: _Limit = Field(default=200, validation_alias="SIGIL_ADDRESS_RATE_LIMIT")
    rate_overrides: Path | None = Field(default=None, validation_alias="SIGIL_RATE_OVERRIDES")
    trusted_proxies: Annotated[tuple[str, ...], *COMMA_SEPARATED, AfterValidator(_proxies)] = Field(
        default=(), validation_alias="SIGIL_TRUSTED_PROXIES"
    )
    rate_folder: Folder | None = Field(default=None, validation_alias="SIGIL_RATE_FOLDER")
    rate_restart: Literal["reset", "keep"] = Field(default="reset", validation_alias="SIGIL_RATE_RESTART")
    rate_capacity: int = Field(
        default=1 << 18, ge=1 << 10, le=1 << 24, validation_alias="SIGIL_RATE_CAPACITY"
    )
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        default=None, validation_alias="REDIS_URL"
    )
    rate_outage: Annotated[dict[str, Policy], NoDecode, BeforeValidator(_policies)] = Field(
        default=dict.fromkeys(ROUTE_CLASSES, "local"), validation_alias="SIGIL_RATE_OUTAGE"
    )
    rate_local_share: _Share = Field(default=1.0, validation_alias="SIGIL_RATE_LOCAL_SHARE")
    rate_lease: int = Field(default=0, ge=0, le=100_000, validation_alias="SIGIL_RATE_LEASE")
    rate_client_time: bool = Field(default=False, validation_alias="SIGIL_RATE_CLIENT_TIME")

    @field_validator("rate_burst")
    @classmethod
    def _user_can_be_kept(cls, burst: int | None, info: ValidationInfo) -> int | None:
        _check(info.data.get("rate_limit"), burst, info)
        return burst

    @field_validator("tenant_rate_burst")
    @classmethod
    def _tenant_can_be_kept(cls, burst: int | None, info: ValidationInfo) -> int | None:
        user = info.data.get("rate_limit")
        _check(info.data.get("tenant_rate_limit") or (user and user * _USERS), burst, info)
        return burst

    @field_validator("rate_overrides")
    @classmethod
    def _can_be_used(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None:
            read_overrides(path, info.data.get("rate_window", _WINDOW))
        return path

    @field_validator("rate_local_share")
    @classmethod
    def _share_can_be_kept(cls, share: float, info: ValidationInfo) -> float:
        fraction = _fraction(share)
        if not fraction:
            raise ValueError("must be at least 0.001")
        limit, window = info.data.get("rate_limit"), info.data.get("rate_window")
        if limit and window:
            check_quota(share_of(Quota(limit, window, info.data.get("rate_burst") or limit), fraction))
        return share

    @property
    def default_quotas(self) -> Quotas:
        """What holds for those without overrides."""
        tenant = self.tenant_rate_limit or self.rate_limit * _USERS
        return Quotas(
            Quota(self.rate_limit, self.rate_window, self.rate_burst or self.rate_limit),
            Quota(tenant, self.rate_window, self.tenant_rate_burst or tenant),
        )

    @property
    def rate_share(self) -> Fraction:
        """The part of each limit that this host grants while Redis is away."""
        return _fraction(self.rate_local_share)

    @property
    def address_quota(self) -> Quota:
        """What may come from one address without a token that is known to be good."""
        return Quota(self.address_rate_limit, self.rate_window, self.address_rate_limit)


def _fraction(share: float) -> Fraction:
    return Fraction(round(share * _FINEST), _FINEST)


def _check(limit: int | None, burst: int | None, info: ValidationInfo) -> None:
    """Refuse a burst that does not fit its limit, where that and the window are no mistakes themselves."""
    window = info.data.get("rate_window")
    if burst is not None and limit and window:
        check_quota(Quota(limit, window, burst))


def rate_contradictions(given: Mapping[str, str]) -> list[str]:
    """Mistakes that only several of the variables together make, found in their raw text."""
    problems = []
    if given.get("SIGIL_RATE_RESTART") == "keep" and "SIGIL_RATE_FOLDER" not in given:
        problems.append("SIGIL_RATE_RESTART: to keep counts, name their place with SIGIL_RATE_FOLDER")
    if "REDIS_URL" not in given and "REDIS_URL_FILE" not in given:
        needless = [name for name in _ABOUT_REDIS if name in given]
        problems += [f"{name}: REDIS_URL is not set, so nothing would come of it" for name in needless]
    if sigil_native.backend != "native" and given.get("SIGIL_RATE_MODE") != "off":
        if given.get("SIGIL_WORKERS", "1") != "1":
            problems.append("SIGIL_WORKERS: the pure backend shares no rate limits; set SIGIL_RATE_MODE=off")
        if given.get("SIGIL_RATE_RESTART") == "keep":
            problems.append("SIGIL_RATE_RESTART: the pure backend keeps no counts in files")
    return problems
