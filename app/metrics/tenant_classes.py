"""Taking up changed classes of tenants while the service runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from app.server.reloading import Reloaded, ReloadRefusedError
from core.audit.interface import AuditEvent
from core.fingerprints import fingerprint
from core.tenant_classes import DEFAULT_CLASS, read_tenant_classes


class TenantClasses:
    """The class of each tenant, as the file has it; a Reloadable."""

    name = "tenant classes"
    changed_event: AuditEvent = "tenant_classes.changed"
    refused_event: AuditEvent = "tenant_classes.refused"

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ValueError: it cannot be used.
        """
        self._path = path
        self._classes = read_tenant_classes(path)

    def of(self, tenant: str) -> str:
        """The class of a tenant."""
        return self._classes.get(tenant, DEFAULT_CLASS)

    def fingerprint(self) -> bytes:
        """See Reloadable.fingerprint."""
        return fingerprint([self._path])

    def reload(self) -> Reloaded:
        """See Reloadable.reload."""
        before = self._classes
        try:
            self._classes = read_tenant_classes(self._path)
        except ValueError as error:
            raise ReloadRefusedError("unusable", str(error)) from None
        changed = before != self._classes
        facts = _facts(self._classes)
        return Reloaded(changed, facts, facts)


def _facts(classes: Mapping[str, str]) -> dict[str, str]:
    """How many tenants have classes, and what workers that agree about them share."""
    text = "\n".join(f"{tenant!r} {classes[tenant]}" for tenant in sorted(classes))
    return {"tenants": str(len(classes)), "classes": hashlib.sha256(text.encode()).hexdigest()[:16]}
