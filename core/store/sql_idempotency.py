"""Idempotency keys in an SQL database, claimed in the transaction that keeps their record."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from core.idempotency import Claim, KeyLimits
from core.store.database import Database

#: A process's first claim and then each of this many is followed by some tidying. Tidying removes more
#: than comes in between, so the table shrinks to its bounds, and never so much that a write waits for it.
TIDY_EVERY: Final = 64
_TIDY_AT_MOST: Final = 2 * TIDY_EVERY

# One statement, so that it is right whatever the database lets happen between two. It changes an
# existing key only where that is free again: too old, or from a clock that was more than a whole
# lifetime ahead, or its record was deleted by hand. A tenant's keys are numbered, which bounds them without
# counting: they lie within the last so many numbers.
_CLAIM: Final = (
    "INSERT INTO sigil_idempotency_keys"
    " (tenant, number, key_digest, request_digest, record_id, claimed_at_ms)"
    " VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM sigil_idempotency_keys WHERE tenant = ?),"
    " ?, ?, ?, ?)"
    " ON CONFLICT (tenant, key_digest) DO UPDATE SET number = excluded.number,"
    " request_digest = excluded.request_digest, record_id = excluded.record_id,"
    " claimed_at_ms = excluded.claimed_at_ms"
    " WHERE sigil_idempotency_keys.claimed_at_ms <= ? OR sigil_idempotency_keys.claimed_at_ms > ?"
    " OR NOT EXISTS (SELECT 1 FROM sigils WHERE sigils.tenant = sigil_idempotency_keys.tenant"
    " AND sigils.id = sigil_idempotency_keys.record_id)"
)
_FORGET_OLDEST: Final = (
    "DELETE FROM sigil_idempotency_keys WHERE tenant = ? AND number IN"
    " (SELECT number FROM sigil_idempotency_keys WHERE tenant = ? AND number <="
    " (SELECT max(number) FROM sigil_idempotency_keys WHERE tenant = ?) - ? ORDER BY number LIMIT ?)"
)
#: The only statement that looks at the keys of all tenants.
FORGET_EXPIRED: Final = (
    "DELETE FROM sigil_idempotency_keys WHERE (tenant, number) IN"
    " (SELECT tenant, number FROM sigil_idempotency_keys"
    " WHERE claimed_at_ms <= ? OR claimed_at_ms > ? LIMIT ?)"
)


class KeyBook:
    """Who has which key. For the writer's thread alone, inside its transactions."""

    def __init__(self, limits: KeyLimits, database: Database) -> None:
        self._limits = limits
        self._claim = database.sql(_CLAIM)
        self._forget_oldest = database.sql(_FORGET_OLDEST)
        self._forget_expired = database.sql(FORGET_EXPIRED)
        self._claims = 0
        self._tenants: set[str] = set()

    def claim(
        self, connection: sa.Connection, claim: Claim, *, tenant: str, record_id: bytes, now_ms: int
    ) -> bool:
        """Claim a key for a record of the same transaction; False if another record has it."""
        lifetime_ms = self._limits.seconds * 1000
        expired, ahead = now_ms - lifetime_ms, now_ms + lifetime_ms
        digests = (claim.key_digest, claim.request_digest)
        values = (tenant, tenant, *digests, record_id, now_ms, expired, ahead)
        if not connection.exec_driver_sql(self._claim, values).rowcount:
            return False
        self._tenants.add(tenant)
        if self._claims % TIDY_EVERY == 0:
            self._tidy(connection, expired, ahead)
        self._claims += 1
        return True

    def _tidy(self, connection: sa.Connection, expired: int, ahead: int) -> None:
        connection.exec_driver_sql(self._forget_expired, (expired, ahead, _TIDY_AT_MOST))
        for tenant in self._tenants:
            beyond = (tenant, tenant, tenant, self._limits.per_tenant, _TIDY_AT_MOST)
            connection.exec_driver_sql(self._forget_oldest, beyond)
        self._tenants.clear()
