"""The file with what holds for some tenants in the place of what holds for all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from core.limits.quota import Override, Quota, check_quota
from core.plain_files import read_plain
from core.tenants import is_tenant
from sigil_native import CanonicalizationError, canonicalize_json

#: The largest limit and burst that a setting may have.
LARGEST_LIMIT: Final = 10**9
_LARGEST_FILE: Final = 16 << 20
#: A table of buckets is kept for each quota; see ``LocalLimiter``.
MOST_QUOTAS: Final = 256

_Count = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_LIMIT)]


class _Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: _Count
    burst: _Count | None = None


class _Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: _Rate | None = None
    tenant: _Rate | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    tenants: dict[str, _Tenant]


_decoder: Final = msgspec.json.Decoder(_File)


def read_overrides(path: Path, window: int) -> dict[str, Override]:
    """What a file says of tenants, whose limits are all for this window.

    Raises:
        ValueError: saying what is wrong with the file, and where; no value of it is shown.
    """
    try:
        # Refuses duplicate members, of which JSON readers would take one or the other.
        text = canonicalize_json(read_plain(path, largest=_LARGEST_FILE))
    except CanonicalizationError as error:
        raise ValueError(f"not JSON that can be used: {error.problem}") from None
    try:
        tenants = _decoder.decode(text).tenants
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if not all(is_tenant(name) for name in tenants):
        raise ValueError("a tenant has 1 to 128 bytes of UTF-8, without NUL")
    overrides = {
        name: Override(_quota(name, "user", one.user, window), _quota(name, "tenant", one.tenant, window))
        for name, one in tenants.items()
    }
    for kind in ("user", "tenant"):
        if len({getattr(override, kind) for override in overrides.values()}) > MOST_QUOTAS:
            raise ValueError(f"more than {MOST_QUOTAS} different limits of one kind")
    return overrides


def _quota(tenant: str, kind: str, rate: _Rate | None, window: int) -> Quota | None:
    if rate is None:
        return None
    quota = Quota(rate.limit, window, rate.burst or rate.limit)
    try:
        check_quota(quota)
    except ValueError as error:
        raise ValueError(f"tenant {tenant!r}, {kind}: {error}") from None
    return quota
