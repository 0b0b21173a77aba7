"""What an operator, or an accident, does to rows of tenant acme behind a store's back."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

_SPOIL_ID = "UPDATE sigils SET id = {} WHERE tenant = 'acme' AND issued_at_ms = {}"


def _short_or_long(number: int) -> bytes:
    """No id, and near to where the record's was: one byte less, or one more."""
    stored = ((number << 80) | (7 << 76) | (2 << 62)).to_bytes(16)
    return stored[:-1] if number % 2 else stored + b"x"


class Operator(Protocol):
    """Somebody with the database's password."""

    def spoil_columns(self, *numbers: int) -> None:
        """Damage records of these numbers."""

    def spoil_ids(self, *numbers: int) -> None:
        """Damage their ids."""


class OfSqlite:
    """Of an SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def spoil_columns(self, *numbers: int) -> None:
        """See Operator."""
        self._execute(
            "UPDATE sigils SET key_id = 'x' WHERE tenant = 'acme' AND issued_at_ms = ?",
            [(number,) for number in numbers],
        )

    def spoil_ids(self, *numbers: int) -> None:
        """See Operator. One of them becomes a text."""
        values: list[tuple[object, ...]] = [(_short_or_long(number), number) for number in numbers]
        values[-1] = ("sixteen letters.", numbers[-1])
        self._execute(_SPOIL_ID.format("?", "?"), values)

    def _execute(self, statement: str, values: Sequence[tuple[object, ...]]) -> None:
        with closing(sqlite3.connect(self._path, timeout=30)) as connection, connection:
            assert connection.executemany(statement, values).rowcount == len(values)


class OfPostgres:
    """Of a PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def spoil_columns(self, *_: int) -> None:
        """See Operator. Its columns keep their types."""
        pytest.skip("its columns keep their types")

    def spoil_ids(self, *numbers: int) -> None:
        """See Operator."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            for number in numbers:
                connection.execute(_SPOIL_ID.format("%s", "%s").encode(), (_short_or_long(number), number))


def operator_of(kind: str, request: pytest.FixtureRequest) -> Operator:
    """Of one of the implementations."""
    if kind == "dnastore":
        return OfSqlite(request.getfixturevalue("dnastore_on_sqlite").data_dir / "dnastore.db")
    if "postgresql" in kind:
        name = "postgres_records_url" if kind == "postgresql" else "dnastore_postgres_url"
        return OfPostgres(request.getfixturevalue(name))
    return OfSqlite(request.getfixturevalue("tmp_path") / "sigils.db")
