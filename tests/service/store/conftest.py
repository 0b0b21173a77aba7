"""Databases for the tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres_server import PostgresServer, running_postgres

pytest.register_assert_rewrite("tests.service.store.contract")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that the tests share; they leave it running, and have databases of their own."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.emptied_database()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server for one test, which may do with it what it likes. It syncs what it commits."""
    with running_postgres(durable=True) as server:
        yield server
