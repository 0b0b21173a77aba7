"""PostgreSQL, and what speaks its protocol, as a place that keeps what it acknowledges.

Everything that is waited for has a bound, on both sides: the server's own bounds end what is slow, and the
client's what does not answer at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import sqlalchemy as sa
from psycopg.abc import RV, PQGen
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from core.errors import BackupError, StoreSchemaError, StoreUnavailableError

#: Advisory locks: of the schema, and of writes one by one; a tenant's is hashed from its name.
_SCHEMA_LOCK: Final = 0x5347_4C44_4E41
_DOUBTFUL_LOCK: Final = _SCHEMA_LOCK + 1
_PERSON: Final = b"sigil-keys"

#: What the server says, by its SQLSTATE or class of such: the reason, and when to come back.
_REASONS: Final = {
    "53100": ("full", 30),  # disk_full
    "53": ("overloaded", 5),  # too_many_connections, out_of_memory
    "25006": ("read_only", 30),  # a standby, or one that was primary
    "55P03": ("locked", 2),  # lock_not_available
    "40": ("locked", 2),  # deadlock_detected, serialization_failure
    "57014": ("timeout", 5),  # query_canceled, by statement_timeout
    "25P03": ("timeout", 5),  # idle_in_transaction_session_timeout: this process was frozen
    "57": ("connection", 5),  # admin_shutdown, crash_shutdown, cannot_connect_now
    "08": ("connection", 5),
    "28": ("forbidden", 30),
    "3D": ("forbidden", 30),  # no such database
    "42501": ("forbidden", 30),  # insufficient_privilege
}
#: The same while connecting, when the server's words are all that there is; in other languages than English
#: it is a connection that fails.
_WORDS: Final = {
    "authentication failed": ("forbidden", 30),
    "pg_hba.conf": ("forbidden", 30),
    "does not exist": ("forbidden", 30),
    "permission denied": ("forbidden", 30),
    "not permitted to log in": ("forbidden", 30),
    "too many": ("overloaded", 5),
    "remaining connection slots": ("overloaded", 5),
}
#: What concerns the values of a statement alone: data, constraints, and index rows that are too large.
_OF_VALUES: Final = ("22", "23", "54")
#: What another attempt may not meet again.
_PASSING: Final = ("40",)


class Patience(msgspec.Struct, frozen=True):
    """For how many seconds what is waited for.

    Attributes:
        connect: for a connection.
        lock: for other transactions.
        statement: for a statement, by the server.
        answer: for the server to say anything.
        long: for statements that go over all records.
        schema: for changes of the schema, others' too.
    """

    connect: float = 5
    lock: float = 2
    statement: float = 8
    answer: float = 10
    long: float = 300
    schema: float = 3600


class _NoAnswerError(psycopg.OperationalError):
    """The server has said nothing for too long."""


class _Connection(psycopg.Connection[Any]):
    """One that gives a server up which says nothing, however well its machine keeps the connection."""

    answer_seconds = Patience().answer

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """See psycopg.Connection.wait."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.errors._WaitTimeout:
            # Nobody would know what an answer that comes now answers.
            self.close()
            raise _NoAnswerError("no answer in time") from None


def unavailable(error: DBAPIError) -> StoreUnavailableError | None:
    """What one of PostgreSQL's errors means for the caller, if it says that the store cannot work now."""
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error.orig, _NoAnswerError | psycopg.errors.ConnectionTimeout):
        return StoreUnavailableError("timeout")
    if state is None:
        if isinstance(error, sa.exc.DataError):  # the driver's: NUL in a text
            return None
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
            text = str(error.orig)
            said = (meant for words, meant in _WORDS.items() if words in text)
            reason, retry_after = next(said, ("connection", 5))
            return StoreUnavailableError(reason, retry_after=retry_after)
        return None
    if state[:2] in _OF_VALUES:
        return None
    reason, retry_after = _REASONS.get(state) or _REASONS.get(state[:2]) or ("io", 30)
    return StoreUnavailableError(reason, retry_after=retry_after)


class PostgresDatabase:
    """See Database: one on a server."""

    def __init__(
        self,
        url: sa.URL,
        create: Callable[[sa.Connection], None],
        *,
        readers: int,
        patience: Patience = Patience(),  # noqa: B008 - immutable
    ) -> None:
        """Connect.

        Args:
            url: of a PostgreSQL database.
            create: creates or checks the tables, in a transaction that no other process's runs beside.
            readers: connections for reading.
            patience: how long to wait for what.

        Raises:
            StoreSchemaError: the database is not in UTF-8, or something else's, or a newer version's.
            StoreUnavailableError: it cannot be reached, used or written to.
        """
        self._patience = patience
        self.writing = self._engine(url, 1, read_only=False)
        self.reading = self._engine(url, readers, read_only=True)
        try:
            with self.writing.connect() as connection, connection.begin():
                self._prepare(connection)
                create(connection)
                self._driver(connection).answer_seconds = patience.answer
            # So that it fails now if it cannot work.
            with self.reading.connect():
                pass
        except DBAPIError as error:
            self.dispose()
            raise unavailable(error) or StoreUnavailableError("io") from None
        except BaseException:
            self.dispose()
            raise

    def _prepare(self, connection: sa.Connection) -> None:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise StoreSchemaError(f"the database's encoding must be UTF8, not {encoding}")
        # Until the transaction ends; others may be busy with the same for long.
        self._driver(connection).answer_seconds = self._patience.schema
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))

    def _engine(self, url: sa.URL, connections: int, *, read_only: bool) -> sa.Engine:
        engine = sa.create_engine(
            url,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            # Nothing to roll back: a read is a transaction of its own, and the writer ends its own.
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT" if read_only else "READ COMMITTED",
            use_native_hstore=False,
            hide_parameters=True,
        )

        def connect(_: object, __: object, arguments: Any, options: dict[str, Any]) -> _Connection:
            return self._connect(arguments, options, read_only=read_only)

        sa.event.listen(engine, "do_connect", connect)
        return engine

    def _connect(self, arguments: Any, options: dict[str, Any], *, read_only: bool) -> _Connection:
        patience = self._patience
        bounds = {
            "connect_timeout": round(patience.connect),
            # For machines that are gone; one whose processes do nothing keeps its connections.
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 3,
            "keepalives_count": 3,
            "tcp_user_timeout": int(patience.answer * 1000),
        }
        connection = _Connection.connect(
            *arguments, **{"application_name": "sigil-dna", **options, **bounds}, autocommit=True
        )
        connection.answer_seconds = patience.answer
        try:
            session = {
                "statement_timeout": _milliseconds(patience.statement),
                "lock_timeout": _milliseconds(patience.lock),
                # So that nobody waits for a process that is frozen while it has something locked.
                "idle_in_transaction_session_timeout": _milliseconds(patience.answer),
                "default_transaction_isolation": "read committed",
                "default_transaction_read_only": "on" if read_only else "off",
            }
            for name, value in session.items():
                connection.execute("SELECT set_config(%s, %s, false)", (name, value))
            if not read_only:
                _commit_durably(connection)
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise
        return connection

    def sql(self, statement: str) -> str:
        """See Database.sql."""
        return statement.replace("?", "%s")

    def check(self) -> None:
        """See Database.check: a server that is another one has ended the connections to it."""

    def unavailable(self, error: DBAPIError) -> StoreUnavailableError | None:
        """See Database.unavailable."""
        return unavailable(error)

    def passes(self, error: DBAPIError) -> bool:
        """See Database.passes: the server was restarted since, or two transactions wait for each other."""
        if isinstance(error.orig, _NoAnswerError):
            return False
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or state[:2] in _PASSING

    def insert_at_once(self, *_: object) -> bool:
        """See Database.insert_at_once: there is none."""
        return False

    def lock_tenants(self, connection: sa.Connection, tenants: set[str]) -> None:
        """See Database.lock_tenants: later statements see what was committed before the locks were free."""
        for number in sorted(map(_tenant_lock, tenants)):  # in one order, so that nobody waits in a circle
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (number,))

    def lock_doubtful(self, connection: sa.Connection) -> None:
        """See Database.lock_doubtful."""
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_DOUBTFUL_LOCK,))

    @contextmanager
    def patient(self, connection: sa.Connection) -> Iterator[None]:
        """See Database.patient."""
        patience = self._patience
        self._allow(connection, patience.long, patience.long)
        try:
            yield
        finally:
            # Where it does not work any more, it is not used any more.
            with suppress(DBAPIError):
                self._allow(connection, patience.statement, patience.answer)

    @staticmethod
    def _driver(connection: sa.Connection) -> _Connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, _Connection)  # noqa: S101 - made by _connect
        return driver

    @staticmethod
    def _allow(connection: sa.Connection, statement: float, answer: float) -> None:
        connection.exec_driver_sql(f"SET statement_timeout = {_milliseconds(statement)}")
        # Not before: a server that does not answer this is not waited for.
        PostgresDatabase._driver(connection).answer_seconds = answer

    def back_up(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """See Database.back_up.

        Raises:
            BackupError: always.
        """
        raise BackupError("PostgreSQL makes its own backups: use pg_dump or pg_basebackup")

    def dispose(self) -> None:
        """See Database.dispose."""
        self.reading.dispose()
        self.writing.dispose()


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def _tenant_lock(tenant: str) -> int:
    digest = hashlib.blake2b(tenant.encode(), digest_size=8, person=_PERSON).digest()
    return int.from_bytes(digest, signed=True)


def _commit_durably(connection: _Connection) -> None:
    """See that a commit is on disk when it is acknowledged, whatever the settings of server and user say."""
    row = connection.execute("SELECT current_setting('synchronous_commit')").fetchone()
    if row is not None and row[0] not in {"on", "remote_apply"}:
        connection.execute("SET synchronous_commit = on")
