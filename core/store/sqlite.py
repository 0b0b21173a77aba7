"""SQLite engines that keep what they acknowledge."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from core.errors import StoreSchemaError, StoreUnavailableError
from core.store.sqlite_backup import Progress, back_up
from core.store.sqlite_inserts import insert_rows
from core.store.store_url import database_path
from core.store.turns import Turns
from core.store.unreadable import text_of

_LOCK_WAIT_MS: Final = 2000
_PAGE: Final = 4096
#: Pages in the write-ahead log at which a commit copies them into the database.
_CHECKPOINT_PAGES: Final = 4000
#: Of each connection. What lies above the leaves of ten million records has 16 MiB; SQLite's own 2 MiB
#: are enough for a million.
_CACHE_KIB: Final = 16 << 10


def create_private_file(path: Path) -> None:
    """Create the database file, and its folder, for its owner alone; SQLite's other files follow its mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


class FilesInPlace:
    """Tells whether the database's path still names the files that are open.

    A file that is removed or replaced while it is open goes on taking writes, which nobody will find
    again. Make it when the database is open; the log is there then too, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (os.fspath(path), f"{path}-wal")
        self._opened = self._identities()

    def check(self) -> None:
        """Look again; costs a microsecond or two.

        Raises:
            StoreUnavailableError: somebody has taken a file away.
        """
        if self._identities() != self._opened:
            raise StoreUnavailableError("replaced", retry_after=30)

    def _identities(self) -> Sequence[tuple[int, int] | None]:
        return [_identity(path) for path in self._paths]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - on the path of every read and write
    except OSError:
        return None
    return found.st_dev, found.st_ino


def writing_engine(url: sa.URL, turns: Turns, log_pages: int | None = None) -> sa.Engine:
    """An engine of one connection whose transactions take the write lock at their beginning.

    A transaction that only asks for the lock when it first writes cannot wait for it: SQLite
    fails such an upgrade at once if somebody else wrote in between.

    Args:
        url: of an SQLite file.
        turns: at its lock, which are closed with the engine.
        log_pages: of the write-ahead log, at which a commit copies them into the database; a log that has
            become longer is cut then. None: many, and it stays as long as it was.
    """
    engine = sa.create_engine(
        url, poolclass=StaticPool, hide_parameters=True, connect_args={"check_same_thread": False}
    )
    limit = [] if log_pages is None else [f"PRAGMA journal_size_limit = {log_pages * _PAGE}"]
    pages = log_pages or _CHECKPOINT_PAGES
    _configure(engine, "PRAGMA synchronous = FULL", f"PRAGMA wal_autocheckpoint = {pages}", *limit)

    def begin(connection: sa.Connection) -> None:
        with turns.next():
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "begin", begin)
    sa.event.listen(engine, "engine_disposed", lambda _: turns.close())
    return engine


def reading_engine(url: sa.URL, connections: int) -> sa.Engine:
    """An engine whose connections cannot write. In WAL mode they never wait for a writer."""
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,
        pool_reset_on_return=None,  # nothing to roll back: every read is a transaction of its own
        connect_args={"check_same_thread": False},
    )
    _configure(engine, "PRAGMA query_only = ON")
    return engine


def _configure(engine: sa.Engine, *pragmas: str) -> None:
    def connect(connection: Any, _: object) -> None:
        # The driver must not begin transactions by itself.
        connection.isolation_level = None
        # Else one text that is not UTF-8 fails the statement, and hides all other rows.
        connection.text_factory = text_of
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_MS}")
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Persistent: a second connection finds it set and need not write.
        cursor.execute("PRAGMA journal_mode = WAL")
        if cursor.fetchone() != ("wal",):
            raise OSError("the file system of the store does not support SQLite's WAL mode")
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    sa.event.listen(engine, "connect", connect)


def unavailable(error: DBAPIError) -> StoreUnavailableError | None:
    """What one of SQLite's errors means for the caller, if it says that the store cannot work now."""
    text = str(error.orig).lower()
    if "locked" in text or "busy" in text:
        return StoreUnavailableError("locked", retry_after=2)
    if "full" in text:
        return StoreUnavailableError("full", retry_after=30)
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
        return StoreUnavailableError("io")
    if isinstance(error, sa.exc.DatabaseError) and ("malformed" in text or "not a database" in text):
        return StoreUnavailableError("io", retry_after=30)
    return None


class SqliteDatabase:
    """See Database: a file."""

    def __init__(
        self,
        url: sa.URL,
        create: Callable[[sa.Connection], None],
        *,
        readers: int,
        log_pages: int | None = None,
    ) -> None:
        """Open the file, which is created, with its folder, where it is missing.

        Args:
            url: of an SQLite file.
            create: creates or checks the tables, in a transaction that no other process's runs beside.
            readers: connections for reading.
            log_pages: see ``writing_engine``.

        Raises:
            ValueError: the URL names no SQLite file.
            StoreSchemaError: the file is something else, or a newer version's.
            StoreUnavailableError: locked, damaged, or not writable.
            OSError: the file cannot be created or opened.
        """
        self.path = database_path(url)
        create_private_file(self.path)
        self._turns = Turns(self.path.parent)
        self.writing = writing_engine(url, self._turns, log_pages)
        self.reading = reading_engine(url, readers)
        try:
            with self.writing.connect() as connection, connection.begin():
                create(connection)
            # One reader stays open from now on. When SQLite's last connection closes, its log goes
            # too, and on a full disk it could not be made again: then not even reads would work.
            with self.reading.connect():
                self._files = FilesInPlace(self.path)
        except DBAPIError as error:
            self.dispose()
            if "not a database" in str(error.orig):
                raise StoreSchemaError("the file is not an SQLite database") from None
            raise unavailable(error) or StoreUnavailableError("io") from None
        except BaseException:
            self.dispose()
            raise

    def sql(self, statement: str) -> str:
        """See Database.sql."""
        return statement

    def check(self) -> None:
        """See Database.check."""
        self._files.check()

    def unavailable(self, error: DBAPIError) -> StoreUnavailableError | None:
        """See Database.unavailable."""
        return unavailable(error)

    def passes(self, _: DBAPIError) -> bool:
        """See Database.passes: transactions come one after another."""
        return False

    def insert_at_once(
        self, connection: sa.Connection, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> bool:
        """See Database.insert_at_once."""
        driver: Any = connection.connection.driver_connection
        insert_rows(driver, self._turns, statement, rows)
        return True

    def lock_tenants(self, connection: sa.Connection, tenants: set[str]) -> None:
        """See Database.lock_tenants: a transaction has the whole file."""

    def lock_doubtful(self, connection: sa.Connection) -> None:
        """See Database.lock_doubtful: a transaction has the whole file."""

    def patient(self, _: sa.Connection) -> nullcontext[None]:
        """See Database.patient: no statement has a bound."""
        return nullcontext()

    def back_up(self, path: Path, progress: Progress) -> None:
        """See Database.back_up."""
        self._files.check()
        back_up(self.path, path, progress)
        self._files.check()

    def dispose(self) -> None:
        """See Database.dispose."""
        self.reading.dispose()
        self.writing.dispose()
