"""What the SQL store asks of a kind of database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from core.errors import StoreUnavailableError


class Database(Protocol):
    """An open database of one kind: its connections, and where it differs from the others.

    Attributes:
        writing: an engine for the writer's thread, whose transactions keep what they commit.
        reading: an engine whose connections never wait for writers, and cannot write.
    """

    writing: sa.Engine
    reading: sa.Engine

    def sql(self, statement: str) -> str:
        """A statement of ours, which has ``?`` for its parameters, as the driver takes it."""

    def check(self) -> None:
        """Look whether commits still go where they were meant to; costs next to nothing.

        Raises:
            StoreUnavailableError: they do not.
        """

    def unavailable(self, error: DBAPIError) -> StoreUnavailableError | None:
        """What a database error means for the caller, if it says that the store cannot work now."""

    def passes(self, error: DBAPIError) -> bool:
        """Whether the same transaction may well succeed at once, on another connection if need be."""

    def insert_at_once(
        self, connection: sa.Connection, statement: str, rows: Sequence[tuple[object, ...]]
    ) -> bool:
        """Insert rows in a transaction of their own, if there is a shorter way; False: there is none.

        Raises:
            DBAPIError, OverflowError, UnicodeError: nothing was inserted.
        """

    def lock_tenants(self, connection: sa.Connection, tenants: set[str]) -> None:
        """Keep other processes from numbering these tenants' keys until the transaction ends."""

    def lock_doubtful(self, connection: sa.Connection) -> None:
        """Keep other processes from taking writes one by one until the transaction ends.

        What two of them take in different orders would make them wait for each other.
        """

    def patient(self, connection: sa.Connection) -> AbstractContextManager[None]:
        """Let one reading connection work on a statement for minutes."""

    def back_up(self, path: Path, progress: Callable[[int, int], None]) -> None:
        """See SqlStore.backup; blocks."""

    def dispose(self) -> None:
        """Close all connections."""
