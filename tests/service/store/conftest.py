"""Databases for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.postgresql import PostgresServer, running_postgres
from tests.service.dnastore.running import DnaStore


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that the tests share; they leave it running, and have databases of their own."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.emptied_database()


@pytest.fixture(scope="session")
def postgres_records_url(postgres: PostgresServer) -> str:
    """The URL of a database with the tables of a store; each test finds them empty."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def dnastore_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnaStore]:
    """A DNAStore server that the tests share; each finds it empty."""
    server = DnaStore(tmp_path_factory.mktemp("dnastore-sqlite")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def dnastore_postgres_url(postgres: PostgresServer) -> str:
    """The database of the server below."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def dnastore_on_postgres(
    tmp_path_factory: pytest.TempPathFactory, dnastore_postgres_url: str
) -> Iterator[DnaStore]:
    """A DNAStore server in front of PostgreSQL that the tests share; each finds it empty."""
    folder = tmp_path_factory.mktemp("dnastore-postgres")
    server = DnaStore(folder, DNASTORE_SERVER_STORE_URL=dnastore_postgres_url).start()
    yield server
    server.stop()
