"""Tables of the SQL store, and their version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from core.errors import StoreSchemaError

SCHEMA_VERSION: Final = 3
#: PostgreSQL's codes for a table, or a column, that is not there.
_UNDEFINED: Final = frozenset({"42P01", "42703"})

_metadata = sa.MetaData()
# Compared byte by byte: quick, and no index depends on what a system's locales say this year.
_Text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

schema_version = sa.Table(
    "sigil_schema",
    _metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)

#: One row that readiness probes write to, so that they prove what an encode needs.
probe = sa.Table(
    "sigil_probe",
    _metadata,
    sa.Column("only", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)

# ``row`` keeps inserts at the table's end: with the payloads inside a (tenant, id) tree, tenants
# that write in turn would split its pages.
sigils = sa.Table(
    "sigils",
    _metadata,
    sa.Column("row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("tenant", _Text, nullable=False),
    sa.Column("id", sa.LargeBinary(16), nullable=False),
    sa.Column("sigil", _Text, nullable=False),
    sa.Column("key_id", sa.BigInteger, nullable=False),
    sa.Column("issued_at_ms", sa.BigInteger, nullable=False),
    sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
    sa.Column("canonical_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", _Text, nullable=False),
    sa.Column("revoked_at_ms", sa.BigInteger),
    sa.Column("revoked_by", _Text),
    sa.Column("revoked_reason", _Text),
    # Last, so that SQLite reads the other columns without walking a long payload's pages.
    sa.Column("payload", sa.LargeBinary, nullable=False),
)
_id_descending = sigils.c.id.desc()
_by_id = sa.Index("sigils_by_id", sigils.c.tenant, _id_descending, unique=True)
# Both hold only rows of their kind, so an ordinary insert does not pay for them.
_revoked = sa.Index(
    "sigils_revoked",
    sigils.c.tenant,
    _id_descending,
    sqlite_where=sigils.c.revoked_at_ms.is_not(None),
    postgresql_where=sigils.c.revoked_at_ms.is_not(None),
)
_expiring = sa.Index(
    "sigils_expiring",
    sigils.c.tenant,
    _id_descending,
    sigils.c.expires_at_ms,
    sqlite_where=sigils.c.expires_at_ms > 0,
    postgresql_where=sigils.c.expires_at_ms > 0,
)

# Since version 2. ``number`` ascends within a tenant: old keys lie at one end. A claim is found by its
# digest, and the expired ones of all tenants by their time.
idempotency_keys = sa.Table(
    "sigil_idempotency_keys",
    _metadata,
    sa.Column("tenant", _Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("request_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("record_id", sa.LargeBinary(16), nullable=False),
    sa.Column("claimed_at_ms", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
_key_by_digest = sa.Index(
    "sigil_idempotency_keys_by_digest", idempotency_keys.c.tenant, idempotency_keys.c.key_digest, unique=True
)
_key_by_time = sa.Index("sigil_idempotency_keys_by_time", idempotency_keys.c.claimed_at_ms)


# Since version 3. Each chain grows at its end.
history = sa.Table(
    "sigil_history",
    _metadata,
    sa.Column("tenant", _Text, primary_key=True),
    sa.Column("chain", _Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("step", _Text, nullable=False),
    sa.Column("record_id", sa.LargeBinary(16), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("previous", _Text, nullable=False),
    sa.Column("seal", _Text, nullable=False),
    sqlite_with_rowid=False,
)

#: What each version added to the one before it. In this order: of two indexes that promise the same, SQLite
#: takes the younger one, and without statistics it does not know that the partial ones are smaller.
_ADDED: Final[Mapping[int, Sequence[sa.Table | sa.Index]]] = {
    1: (probe, schema_version, sigils, _by_id, _revoked, _expiring),
    2: (idempotency_keys, _key_by_digest, _key_by_time),
    3: (history,),
}


def create_or_check(connection: sa.Connection) -> None:
    """Create the tables in an empty database; bring those of an earlier version up to date.

    Runs inside the caller's transaction, which excludes other writers: the database ends up whole
    in this version, or stays as it was.

    Raises:
        StoreSchemaError: the tables are of a newer version, or of something else, or something is missing.
    """
    if not sa.inspect(connection).has_table(schema_version.name):
        _add(connection, 1)
        connection.execute(schema_version.insert().values(only=1, version=SCHEMA_VERSION))
        connection.execute(probe.insert().values(only=1, count=0))
        return
    found = connection.execute(sa.select(schema_version.c.version)).scalar_one_or_none()
    if found == SCHEMA_VERSION:
        _see_that_all_is_there(connection)
        return
    if found is None or found not in _ADDED:
        raise StoreSchemaError(
            f"the database has schema version {found}, this service understands {SCHEMA_VERSION}"
        )
    _add(connection, found + 1)
    connection.execute(schema_version.update().values(version=SCHEMA_VERSION))


def _see_that_all_is_there(connection: sa.Connection) -> None:
    """Somebody may have taken a table away, or a column."""
    for table in _metadata.sorted_tables:
        try:
            connection.execute(sa.select(table).limit(0))
        except DBAPIError as error:
            text = str(error.orig)
            if "no such" not in text and getattr(error.orig, "sqlstate", None) not in _UNDEFINED:
                raise
            detail = text.partition("\n")[0]
            raise StoreSchemaError(f"the tables are not what they should be: {detail}") from None


def _add(connection: sa.Connection, first: int) -> None:
    for version in range(first, SCHEMA_VERSION + 1):
        for part in _ADDED[version]:
            create = CreateTable(part) if isinstance(part, sa.Table) else CreateIndex(part)
            connection.execute(create)
