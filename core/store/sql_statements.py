"""Statements of the hot paths: compiled ones cost up to 2.4 times as much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from core.records import Status
from core.store.sql_rows import ENTRY_COLUMNS, FRESH_COLUMNS, RECORD_COLUMNS

_ALL: Final = ", ".join(RECORD_COLUMNS)
_WITHOUT_PAYLOAD: Final = ", ".join(RECORD_COLUMNS[:-1])
_ENTRY: Final = ", ".join(ENTRY_COLUMNS)


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names


_BY_ID: Final = "FROM sigils WHERE tenant = ? AND id"
_GET: Final = f"SELECT {_ALL} {_BY_ID} = ?"
_GET_WITHOUT_PAYLOAD: Final = f"SELECT {_WITHOUT_PAYLOAD} {_BY_ID} = ?"
_GET_CLAIMED: Final = (
    f"SELECT request_digest, {_WITHOUT_PAYLOAD} FROM sigil_idempotency_keys"  # noqa: S608
    " JOIN sigils USING (tenant) WHERE tenant = ? AND key_digest = ? AND id = record_id"
)
_INSERT: Final = _insert("sigils", RECORD_COLUMNS)
_INSERT_FRESH: Final = _insert("sigils", FRESH_COLUMNS)
_INSERT_ENTRY: Final = _insert("sigil_history", ENTRY_COLUMNS)
_REVOKE: Final = (
    "UPDATE sigils SET revoked_at_ms = ?, revoked_by = ?, revoked_reason = ?"
    " WHERE tenant = ? AND id = ? AND revoked_at_ms IS NULL"
)
# The oldest are at the index's end, whatever there is before them.
_PURGE: Final = (
    "DELETE FROM sigils WHERE tenant = ? AND id IN"
    " (SELECT id FROM sigils WHERE tenant = ? AND id < ? ORDER BY id LIMIT ?)"
)
_ENTRIES: Final = f"SELECT {_ENTRY} FROM sigil_history WHERE tenant = ?"  # noqa: S608
_IN_ORDER: Final = " ORDER BY chain, number LIMIT ?"
#: Those that stand so, at a time where it matters. A partial index serves only what repeats its condition.
_STANDING: Final[Mapping[Status | None, str]] = {
    None: "",
    "revoked": " AND revoked_at_ms IS NOT NULL",
    "expired": " AND expires_at_ms > 0 AND expires_at_ms <= ? AND revoked_at_ms IS NULL",
    "active": " AND (expires_at_ms = 0 OR expires_at_ms > ?) AND revoked_at_ms IS NULL",
}


class Statements:
    """The statements, as one driver takes them. Values are given as tuples, in the order of the columns."""

    def __init__(self, sql: Callable[[str], str]) -> None:
        self._sql = sql
        self.get = sql(_GET)
        self.get_without_payload = sql(_GET_WITHOUT_PAYLOAD)
        self.get_claimed = sql(_GET_CLAIMED)
        self.insert = sql(_INSERT)
        self.insert_fresh = sql(_INSERT_FRESH)
        self.insert_if_missing = sql(f"{_INSERT} ON CONFLICT (tenant, id) DO NOTHING")
        self.insert_entry = sql(_INSERT_ENTRY)
        self.insert_entry_if_missing = sql(f"{_INSERT_ENTRY} ON CONFLICT (tenant, chain, number) DO NOTHING")
        self.get_entry = sql(f"{_ENTRIES} AND chain = ? AND number = ?")
        self.revoke = sql(_REVOKE)
        self.purge = sql(_PURGE)
        self.probe = sql("UPDATE sigil_probe SET count = count + 1")
        self.first_entries = sql(f"{_ENTRIES}{_IN_ORDER}")
        self.later_entries = sql(f"{_ENTRIES} AND (chain, number) > (?, ?){_IN_ORDER}")
        self.count = sql("SELECT tenant, count(*) FROM sigils GROUP BY tenant")
        self.next_tenant_with_entries = sql("SELECT min(tenant) FROM sigil_history WHERE tenant > ?")
        self.next_tenant_past_unreadable = sql(
            "SELECT min(tenant) FROM sigil_history WHERE tenant > CAST(? AS TEXT)"
        )

    def get_some(self, count: int, *, with_payload: bool) -> str:
        """Look up a tenant's records by ``count`` ids."""
        columns = _ALL if with_payload else _WITHOUT_PAYLOAD
        return self._sql(f"SELECT {columns} {_BY_ID} IN ({', '.join('?' * count)})")

    def page(self, status: Status | None, *, continued: bool, with_payload: bool) -> str:
        """List a tenant's records, newest first.

        Its values are the tenant, the id before which to go on if it is ``continued``, the time if the status
        is one of a time, and how many records.
        """
        columns = _ALL if with_payload else _WITHOUT_PAYLOAD
        chosen = f"tenant = ?{' AND id < ?' if continued else ''}{_STANDING[status]}"
        return self._sql(f"SELECT {columns} FROM sigils WHERE {chosen} ORDER BY id DESC LIMIT ?")  # noqa: S608
