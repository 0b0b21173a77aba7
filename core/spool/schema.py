"""Tables of a spool, and their version."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from core.errors import StoreSchemaError

SCHEMA_VERSION: Final = 1

# A write waits in ``spool_writes``, or lies in ``spool_rejected`` if the store will never take it. The other
# tables say what it holds, under its sequence, so that readers find it. With AUTOINCREMENT no sequence comes
# twice.
_TABLES: Final = (
    "CREATE TABLE spool_schema (only_row INTEGER PRIMARY KEY, version INTEGER NOT NULL)",
    "CREATE TABLE spool_writes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,"
    " record_id TEXT NOT NULL, at_ms INTEGER NOT NULL, size INTEGER NOT NULL, checksum INTEGER NOT NULL,"
    " body BLOB NOT NULL)",
    "CREATE TABLE spool_rejected (sequence INTEGER PRIMARY KEY, tenant TEXT NOT NULL,"
    " record_id TEXT NOT NULL, at_ms INTEGER NOT NULL, size INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL, rejected_at_ms INTEGER NOT NULL)",
    "CREATE TABLE spool_records (tenant TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL,"
    " expires_at_ms INTEGER NOT NULL, revoked INTEGER NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID",
    "CREATE INDEX spool_records_by_sequence ON spool_records (sequence)",
    # With the record as it stood then: its own write may be forwarded earlier.
    "CREATE TABLE spool_revocations (tenant TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL,"
    " revoked_at_ms INTEGER NOT NULL, revoked_by TEXT NOT NULL, revoked_reason TEXT NOT NULL,"
    " record BLOB NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID",
    "CREATE INDEX spool_revocations_by_sequence ON spool_revocations (sequence)",
    "CREATE TABLE spool_claims (tenant TEXT NOT NULL, key_digest BLOB NOT NULL, request_digest BLOB NOT NULL,"
    " id TEXT NOT NULL, sequence INTEGER NOT NULL, claimed_at_ms INTEGER NOT NULL,"
    " PRIMARY KEY (tenant, key_digest)) WITHOUT ROWID",
    "CREATE INDEX spool_claims_by_sequence ON spool_claims (sequence)",
    # Kept beside the rows: to count them takes longer the more there are, and every new write asks.
    "CREATE TABLE spool_totals (only_row INTEGER PRIMARY KEY, writes INTEGER NOT NULL, size INTEGER NOT NULL,"
    " rejected INTEGER NOT NULL, rejected_size INTEGER NOT NULL, probes INTEGER NOT NULL)",
    "INSERT INTO spool_totals VALUES (1, 0, 0, 0, 0, 0)",
    f"INSERT INTO spool_schema VALUES (1, {SCHEMA_VERSION})",  # noqa: S608 - our own number
)


def prepare_file(path: Path) -> None:
    """Let an empty database file be one that can shrink again; this can be said only before it has tables."""
    if path.stat().st_size == 0:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")


def create_or_check(connection: sa.Connection) -> None:
    """Create the tables in an empty database, in the caller's transaction.

    Raises:
        StoreSchemaError: the tables are of another version, or of something else.
    """
    tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    if not tables:
        for statement in _TABLES:
            connection.exec_driver_sql(statement)
        return
    if "spool_schema" not in tables:
        raise StoreSchemaError("the file is not a spool")
    found = connection.exec_driver_sql("SELECT version FROM spool_schema").scalar_one_or_none()
    if found != SCHEMA_VERSION:
        message = f"the spool has schema version {found}, this service understands {SCHEMA_VERSION}"
        raise StoreSchemaError(message)
