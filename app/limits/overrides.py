"""Taking up changed overrides of rate limits while the service runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from app.server.reloading import Reloaded, ReloadRefusedError
from core.audit.interface import AuditEvent
from core.fingerprints import fingerprint
from core.limits.overrides import read_overrides
from core.limits.quota import Override, Quotas

#: There may be thousands of tenants; a line of the log need not name them all.
_MOST_NAMED: Final = 20


class OverrideReloading:
    """Keeps the quotas as the file of overrides has them; see Reloadable."""

    name = "rate limits"
    changed_event: AuditEvent = "limits.changed"
    refused_event: AuditEvent = "limits.refused"

    def __init__(self, path: Path, quotas: Quotas, use: Callable[[Quotas], object]) -> None:
        """Watch over a file whose overrides are in these quotas; ``use`` takes others."""
        self._path = path
        self._quotas = quotas
        self._use = use

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        return fingerprint([self._path])

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        before = self._quotas
        try:
            overrides = read_overrides(self._path, before.user.window)
        except ValueError as error:
            raise ReloadRefusedError("unusable", str(error)) from None
        difference = _difference(before.overrides, overrides)
        if difference:
            self._quotas = Quotas(before.user, before.tenant, overrides)
            self._use(self._quotas)
        return Reloaded(bool(difference), {**_facts(overrides), **difference}, difference)


def _facts(overrides: Mapping[str, Override]) -> dict[str, str]:
    """How many tenants have limits of their own, and what workers that agree about them share."""
    text = "\n".join(f"{tenant!r} {_words(overrides[tenant])}" for tenant in sorted(overrides))
    return {
        "tenants": str(len(overrides)),
        "overrides": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _difference(before: Mapping[str, Override], after: Mapping[str, Override]) -> dict[str, str]:
    """The overrides that were added, removed and changed, in words; empty where none was."""
    found = {
        "added": [f"{tenant} {_words(one)}" for tenant, one in after.items() if tenant not in before],
        "removed": [tenant for tenant in before if tenant not in after],
        "changed": [
            f"{tenant} {_words(before[tenant])} -> {_words(one)}"
            for tenant, one in after.items()
            if before.get(tenant, one) != one
        ],
    }
    return {kind: _listed(tenants) for kind, tenants in found.items() if tenants}


def _words(override: Override) -> str:
    named = (("user", override.user), ("tenant", override.tenant))
    return ", ".join(f"{name} {quota.described()}" for name, quota in named if quota is not None) or "as all"


def _listed(tenants: Iterable[str]) -> str:
    several = list(tenants)
    more = [f"and {len(several) - _MOST_NAMED} more"] if len(several) > _MOST_NAMED else []
    return "; ".join(several[:_MOST_NAMED] + more)
