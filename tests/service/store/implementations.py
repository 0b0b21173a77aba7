"""The stores that keep the contract. Whoever writes another adds it to ``IMPLEMENTATIONS``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from core.store.chained import ChainedStore
from core.store.interface import Store
from core.store.sql_store import SqlStore
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


@asynccontextmanager
async def postgresql(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """A database of a PostgreSQL server that the tests share."""
    url: str = request.getfixturevalue("postgres_url")
    yield lambda: sql_store(url)


@asynccontextmanager
async def _chained(url: str) -> AsyncIterator[Store]:
    async with sql_store(url) as inner:
        store = ChainedStore(inner, seals())
        yield store
        await store.close()


@asynccontextmanager
async def chained(request: pytest.FixtureRequest) -> AsyncIterator[Opener]:
    """A store with a history, over an SQLite file."""
    folder: Path = request.getfixturevalue("tmp_path")
    yield lambda: _chained(f"sqlite:///{folder / 'sigils.db'}")


IMPLEMENTATIONS: dict[str, Implementation] = {"sqlite": sqlite, "postgresql": postgresql, "chained": chained}
