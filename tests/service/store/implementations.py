"""The stores that keep the contract. Whoever writes another adds it to ``IMPLEMENTATIONS``."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from pathlib import Path

import psycopg
import pytest

from core.dnastore.client import DnaStoreClient
from core.records import Entry, Place
from core.spool.spool import Spool
from core.spool.spooled_store import SpooledStore
from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.observation import NoStoreObserver
from core.store.sql_store import SqlStore
from core.tls import ClientFiles, Identity, client_context
from tests.heavy import HEAVY
from tests.service.dnastore.running import DnaStore
from tests.service.store.histories import seals

#: Opens a store over the same records each time, several at once too; closes it at the end if it is open.
Opener = Callable[[], AbstractAsyncContextManager[Store]]
#: Makes an empty place for records, and what it needs, for one test.
Implementation = Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Opener]]


@asynccontextmanager
async def sql_store(url: str) -> AsyncIterator[Store]:
    """A store over an SQL database."""
    store = SqlStore.open(url)
    store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def sqlite(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """An SQLite file."""
    folder: Path = request.getfixturevalue("tmp_path")
    yield lambda: sql_store(f"sqlite:///{folder / 'sigils.db'}")


class _WithHistory(ChainedStore):
    """Shows those entries alone that the contract's tests have put: they count them."""

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries."""
        entries = await super().entries(tenant, after=after, limit=1000)
        return [entry for entry in entries if "." not in entry.seal][:limit]

    async def count(self) -> Mapping[str, int]:
        """See Store.count."""
        counts = await super().count()
        return {
            tenant: count
            for tenant, count in counts.items()
            if count or await self.entries(tenant, after=None, limit=1)
        }


@asynccontextmanager
async def _chained(url: str) -> AsyncIterator[Store]:
    async with sql_store(url) as inner:
        store = _WithHistory(inner, seals())
        yield store
        await store.close()


@asynccontextmanager
async def chained(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """A store with a history, over an SQLite file."""
    folder: Path = request.getfixturevalue("tmp_path")
    yield lambda: _chained(f"sqlite:///{folder / 'sigils.db'}")


@asynccontextmanager
async def _spooled(folder: Path) -> AsyncIterator[Store]:
    store = SpooledStore(
        SqlStore.open(f"sqlite:///{folder / 'sigils.db'}"),
        Spool.open(folder / "spool.db"),
        NoStoreObserver(),
    )
    store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def spooled(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """A store with a spool, over an SQLite file that is never away."""
    folder: Path = request.getfixturevalue("tmp_path")
    yield lambda: _spooled(folder)


#: What is emptied between tests.
RECORD_TABLES = ("sigils", "sigil_idempotency_keys", "sigil_history")


def empty(url: str) -> None:
    """Empty the tables of a PostgreSQL database, if it has them: much quicker than to make them anew."""
    with psycopg.connect(url, autocommit=True) as connection, suppress(psycopg.errors.UndefinedTable):
        connection.execute(f"TRUNCATE {', '.join(RECORD_TABLES)}".encode())


@asynccontextmanager
async def postgresql(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """A database of a PostgreSQL server, both shared by the tests."""
    url: str = request.getfixturevalue("postgres_records_url")
    empty(url)
    yield lambda: sql_store(url)


@asynccontextmanager
async def dnastore_client(server: DnaStore) -> AsyncIterator[Store]:
    """A client of a server. Patient: the tests' machine may be slow."""
    context = client_context(ClientFiles(Identity(*server.identity), server.authority.path))
    store = DnaStoreClient(server.url, lambda: context, timeout=30)
    store.start()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def dnastore(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """A DNAStore server over an SQLite file that the tests share, reached over mutual TLS."""
    server: DnaStore = request.getfixturevalue("dnastore_on_sqlite")
    with closing(sqlite3.connect(server.data_dir / "dnastore.db", timeout=30)) as connection, connection:
        for table in RECORD_TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    yield lambda: dnastore_client(server)


@asynccontextmanager
async def dnastore_on_postgresql(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """The same over a database of a PostgreSQL server."""
    server: DnaStore = request.getfixturevalue("dnastore_on_postgres")
    empty(request.getfixturevalue("dnastore_postgres_url"))
    yield lambda: dnastore_client(server)


IMPLEMENTATIONS: dict[str, Implementation] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "chained": chained,
    "dnastore": dnastore,
}
if HEAVY:
    IMPLEMENTATIONS["dnastore-postgresql"] = dnastore_on_postgresql
    IMPLEMENTATIONS["spooled"] = spooled
