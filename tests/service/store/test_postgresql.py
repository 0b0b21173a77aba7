"""The SQL store on PostgreSQL: what the contract leaves to it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from core.errors import InvalidRecordError, StoreSchemaError, StoreUnavailableError
from core.store.postgresql import Patience, PostgresDatabase
from core.store.sql_schema import SCHEMA_VERSION, create_or_check
from core.store.sql_store import SqlStore
from core.store.store_url import parse_store_url
from servers.postgresql import PASSWORD, PostgresServer
from servers.processes import freeze
from tests.service.store.contract import claim
from tests.service.store.store_records import entry, record, record_id, records_of

OF_THE_STORE = "FROM pg_stat_activity WHERE application_name = 'sigil-dna' AND datname = current_database()"


def impatient(url: str, **patience: float) -> SqlStore:
    """A store that waits for less."""
    database = PostgresDatabase(
        parse_store_url(url), create_or_check, readers=6, patience=Patience(**patience)
    )
    return SqlStore(database)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlStore]:
    """An open store."""
    opened = SqlStore.open(postgres_url)
    yield opened
    await opened.close()


@pytest.fixture
def beside(postgres_url: str) -> Any:
    """A connection of somebody else to the same database."""
    with closing(psycopg.connect(postgres_url)) as connection:
        yield connection


async def ids(store: SqlStore, **options: Any) -> list[int]:
    """Numbers of the records that a listing shows."""
    chosen = {"limit": 100, "before": None, "status": None, "now_ms": 0, **options}
    return [shown.issued_at_ms for shown in records_of(await store.list("acme", **chosen))]


async def reason(work: Any) -> str:
    """Why a call says that the store cannot work now."""
    with pytest.raises(StoreUnavailableError) as caught:
        await work
    return caught.value.reason


async def test_durability_settings(postgres: PostgresServer) -> None:
    """Commits wait for the disk, whatever the database's settings say; readers cannot write."""
    url = postgres.new_database()
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        name = connection.info.dbname
        for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
            connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
    store = SqlStore.open(url)
    with store._database.writing.connect() as writing:
        assert writing.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert writing.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    with store._database.reading.connect() as reading, pytest.raises(sa.exc.DBAPIError, match="read-only"):
        reading.exec_driver_sql("DELETE FROM sigils")
    await store.close()


async def test_values_that_it_cannot_hold(store: SqlStore) -> None:
    """What PostgreSQL cannot hold fails alone, as what it is."""
    bad = [
        record(1, tenant="a\0b"),
        record(2, tenant="\ud800"),
        record(3, expires_at_ms=1 << 63),
        record(4, expires_at_ms=1 << 70),
    ]
    puts = [store.put([one]) for one in (*bad, record(5), record(6))]
    results = await asyncio.gather(*puts, return_exceptions=True)
    kinds = [None if result is None else type(result) for result in results]
    assert kinds == [InvalidRecordError] * 4 + [None, None]
    assert await ids(store) == [6, 5]


async def test_readers_do_not_wait_for_writers(store: SqlStore, beside: psycopg.Connection) -> None:
    """Reads answer while somebody has every row changed and not committed."""
    await store.put([record(1)])
    beside.execute("UPDATE sigils SET created_by = 'nobody'")
    assert await store.get("acme", record_id(1)) == record(1)
    assert await ids(store) == [1]
    assert await store.count() == {"acme": 1}


async def test_locked(postgres_url: str, beside: psycopg.Connection) -> None:
    """While somebody has the table locked writes fail and say so, reads go on; then all works."""
    store = impatient(postgres_url, lock=0.2)
    await store.put([record(1)])
    beside.execute("LOCK TABLE sigils IN SHARE MODE")
    assert await reason(store.put([record(2)])) == "locked"
    assert await ids(store) == [1]
    beside.rollback()
    await store.put([record(2)])
    assert await ids(store) == [2, 1]
    await store.close()


async def test_a_slow_statement(postgres_url: str, beside: psycopg.Connection) -> None:
    """A statement that takes too long is ended by the server; one that may take long is not."""
    store = impatient(postgres_url, statement=0.3)
    await store.put([record(1)])
    beside.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$"
    )
    beside.execute("CREATE TRIGGER slow BEFORE INSERT ON sigils FOR EACH ROW EXECUTE FUNCTION slow()")
    beside.commit()
    assert await reason(store.put([record(2)])) == "timeout"
    beside.execute("DROP TRIGGER slow ON sigils")
    beside.commit()
    await store.put([record(2)])
    with store._database.reading.connect() as connection, store._database.patient(connection):
        assert connection.exec_driver_sql("SELECT pg_sleep(0.4)").all()
    await store.close()


STATES = {
    "53100": "full",
    "53200": "overloaded",
    "25006": "read_only",
    "58030": "io",
    "XX001": "io",
    "57P03": "connection",
    "42501": "forbidden",
}


async def test_what_the_server_says(store: SqlStore, beside: psycopg.Connection) -> None:
    """What the server says is told apart, concerns all that wait, and is over when it is over."""
    for number, (state, expected) in enumerate(STATES.items(), start=1):
        beside.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            f" AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
        )
        beside.execute("CREATE TRIGGER refuse BEFORE INSERT ON sigils FOR EACH ROW EXECUTE FUNCTION refuse()")
        beside.commit()
        own = record(number)
        for put in (store.put([record(0)]), store.put_once(own, claim(state))):
            assert await reason(put) == expected, state
        beside.execute("DROP TRIGGER refuse ON sigils")
        beside.commit()
        assert await store.put_once(own, claim(state, request=1)) == own
        assert await ids(store) == list(range(number, 0, -1))


async def test_killed_connections(store: SqlStore, beside: psycopg.Connection) -> None:
    """Connections that somebody has ended are made anew, and no caller hears of it."""
    await store.put([record(1)])
    for number in range(2, 5):
        assert await store.get("acme", record_id(1)) == record(1)
        beside.execute(f"SELECT pg_terminate_backend(pid) {OF_THE_STORE}")
        beside.commit()
        found, kept, _ = await asyncio.gather(
            store.get("acme", record_id(1)), store.put_once(record(number), claim(str(number))), store.probe()
        )
        assert (found, kept) == (record(1), record(number))
    assert await ids(store) == [4, 3, 2, 1]


async def test_frozen_connections(postgres_url: str, beside: psycopg.Connection) -> None:
    """Where the server says nothing any more, calls fail in bounded time, and the next ones work."""
    store = impatient(postgres_url, answer=1)
    await asyncio.gather(store.put([record(1)]), *(store.get("acme", record_id(1)) for _ in range(9)))
    pids = [pid for (pid,) in beside.execute(f"SELECT pid {OF_THE_STORE}").fetchall()]
    assert len(pids) >= 2
    for pid in pids:
        freeze(pid)
    try:
        began = time.monotonic()
        assert await reason(store.put([record(2)])) == "timeout"
        reads = [store.get("acme", record_id(1)) for _ in range(9)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        refused = [result for result in results if isinstance(result, StoreUnavailableError)]
        assert {result.reason for result in refused} == {"timeout"}
        assert {result for result in results if not isinstance(result, BaseException)} <= {record(1)}
        assert time.monotonic() - began < 30
        await store.put([record(3)])
        assert await store.get("acme", record_id(3)) == record(3)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    await store.close()


async def test_writes_that_wait_for_each_other(postgres_url: str) -> None:
    """Writers that take the same records in opposite orders all succeed, whoever gives way."""
    stores = [SqlStore.open(postgres_url) for _ in range(3)]
    for turn in range(2):
        some = [record(100 * turn + number) for number in range(30)]
        orders = [some, some[::-1], some[15:] + some[:15]]
        puts = [store.put(order) for store, order in zip(stores, orders, strict=True)]
        puts += [store.put([one]) for store, order in zip(stores, orders, strict=True) for one in order]
        assert set(await asyncio.gather(*puts)) == {None}
    assert await stores[0].count() == {"acme": 60}
    for store in stores:
        await store.close()


async def test_made_by_several_at_once(postgres_url: str) -> None:
    """Processes that start together on an empty database make its tables once."""
    stores = await asyncio.gather(*(asyncio.to_thread(SqlStore.open, postgres_url) for _ in range(5)))
    await asyncio.gather(*(store.put([record(n)]) for n, store in enumerate(stores)))
    assert await stores[0].count() == {"acme": 5}
    for store in stores:
        await store.close()


def tables(connection: psycopg.Connection) -> list[Any]:
    """What a database consists of."""
    columns = connection.execute(
        "SELECT table_name, column_name, data_type, is_nullable, collation_name"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position"
    ).fetchall()
    indexes = connection.execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
    return [*columns, *indexes.fetchall()]


@pytest.mark.parametrize("version", [1, 2])
async def test_an_old_database(postgres_url: str, version: int) -> None:
    """A database of an earlier version becomes a new one, by several at once, and keeps its records."""
    store = SqlStore.open(postgres_url)
    await store.put([record(1)])
    await store.close()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        new = tables(connection)
        connection.execute("DROP TABLE sigil_history")
        if version == 1:
            connection.execute("DROP TABLE sigil_idempotency_keys")
        connection.execute("UPDATE sigil_schema SET version = %s", (version,))
        stores = await asyncio.gather(*(asyncio.to_thread(SqlStore.open, postgres_url) for _ in range(3)))
        assert tables(connection) == new
        assert connection.execute("SELECT version FROM sigil_schema").fetchall() == [(SCHEMA_VERSION,)]
    await stores[0].put([record(1)], [entry(1)])
    assert await ids(stores[2]) == [1]
    for store in stores:
        await store.close()


def test_databases_that_are_not_ours(postgres: PostgresServer, postgres_url: str) -> None:
    """A database of a newer version, or not in UTF-8, is refused."""
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("CREATE TABLE sigil_schema (only_ integer, version integer)")
        connection.execute("INSERT INTO sigil_schema VALUES (1, %s)", (SCHEMA_VERSION + 1,))
        connection.execute("DROP DATABASE IF EXISTS latin")
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    for url in (postgres_url, postgres.url("latin")):
        with pytest.raises(StoreSchemaError):
            SqlStore.open(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://sigil:hunter2@127.0.0.1:{port}/tests", "forbidden"),
        ("postgresql://nobody:hunter2@127.0.0.1:{port}/tests", "forbidden"),
        ("postgresql://sigil:{password}@127.0.0.1:{port}/missing", "forbidden"),
        ("postgresql://sigil:hunter2@127.0.0.1:1/tests", "connection"),
    ],
)
async def test_out_of_reach(postgres: PostgresServer, url: str, expected: str) -> None:
    """What cannot be reached or used is said as what it is, and the password is not said at all."""
    password = PASSWORD.replace(" ", "%20").replace(":", "%3A")
    with pytest.raises(StoreUnavailableError) as caught:
        SqlStore.open(url.format(port=postgres.port, password=password))
    assert caught.value.reason == expected
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret in told for secret in ("hunter2", PASSWORD, password))


async def test_too_many_connections(postgres: PostgresServer, postgres_url: str) -> None:
    """A server that admits no more connections makes reads fail for as long as it does so."""
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("DROP ROLE IF EXISTS few")
        connection.execute("CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 2")
        connection.execute("GRANT ALL ON SCHEMA public TO few")
        url = f"postgresql://few:few@127.0.0.1:{postgres.port}/tests"
        store = SqlStore.open(url)
        await store.put([record(1)])
        reads = [store.get("acme", record_id(1)) for _ in range(8)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        refused = [result for result in results if isinstance(result, StoreUnavailableError)]
        assert {result.reason for result in refused} == {"overloaded"}
        assert record(1) in results
        connection.execute("ALTER ROLE few CONNECTION LIMIT 20")
        assert await store.get("acme", record_id(1)) == record(1)
        await store.close()


def test_errors_show_no_values(postgres_url: str) -> None:
    """An error that nobody expected shows a statement, and nothing that came with it."""
    database = PostgresDatabase(parse_store_url(postgres_url), create_or_check, readers=1)
    with database.reading.connect() as connection, pytest.raises(sa.exc.DBAPIError) as caught:
        connection.exec_driver_sql("SELECT nothing FROM nowhere WHERE a = %s", ("s3cret payload",))
    assert "s3cret" not in str(caught.value)
    for text in (repr(database.writing), str(database.reading.url)):
        assert PASSWORD not in text
    database.dispose()
