"""The SQL store: what it acknowledges stays, and nothing else is acknowledged."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from core.errors import (
    DuplicateRecordError,
    InvalidRecordError,
    RecordCorruptError,
    StoreOverloadedError,
    StoreSchemaError,
    StoreUnavailableError,
)
from core.records import id_of
from core.store.sql_schema import SCHEMA_VERSION
from core.store.sql_store import SqlStore
from tests.service.store.store_records import record, record_id, records_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "folder" / "sigils.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    """An open store."""
    opened = SqlStore.open(f"sqlite:///{path}")
    yield opened
    await opened.close()


def driver(store: SqlStore) -> sqlite3.Connection:
    """The connection that writes."""
    connection = store._database.writing.raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


async def ids(store: SqlStore, **options: Any) -> list[int]:
    """Numbers of the records that a listing shows."""
    chosen = {"limit": 100, "before": None, "status": None, "now_ms": 0, **options}
    return [shown.issued_at_ms for shown in records_of(await store.list("acme", **chosen))]


async def test_files_are_private(store: SqlStore, path: Path) -> None:
    """Database, log and folder are closed to others."""
    await store.put([record(1)])
    for file in [*path.parent.iterdir()]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {file.name for file in path.parent.iterdir()} >= {"sigils.db", "sigils.db-wal"}


async def test_durability_settings(store: SqlStore, path: Path) -> None:
    """The writing connection is in WAL mode and syncs at each commit."""
    with store._database.writing.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    with store._database.reading.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("DELETE FROM sigils")


async def test_waiting_writes_share_a_commit(store: SqlStore) -> None:
    """Many writes that wait are committed in few transactions."""
    commits: list[str] = []
    driver(store).set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )
    await asyncio.gather(*(store.put([record(number)]) for number in range(500)))
    assert 0 < len(commits) <= 5
    assert len(await ids(store, limit=1000)) == 500


@pytest.mark.parametrize("status", ["revoked", "expired"])
async def test_rare_statuses_have_an_index(store: SqlStore, path: Path, status: str) -> None:
    """Listing the revoked or expired few does not walk all records."""
    seen: list[str] = []

    def executed(*arguments: Any) -> None:
        seen.append(arguments[2])

    sa.event.listen(store._database.reading, "before_cursor_execute", executed)
    await ids(store, status=status)
    with sqlite3.connect(path) as connection:
        plan = " ".join(
            str(row)
            for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[-1]}", [1] * seen[-1].count("?"))
        )
    connection.close()
    assert {"revoked": "sigils_revoked", "expired": "sigils_expiring"}[status] in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    "change",
    [
        "id = 'sixteen letters.'",
        "id = 1",
        "key_id = 'x'",
        "created_at_ms = 1.5",
        "created_by = CAST(x'ff' AS TEXT)",
    ],
)
async def test_rows_of_somebody_else(store: SqlStore, path: Path, change: str) -> None:
    """A row with other types than ours is reported in its place; one whose id is none in the log alone."""
    await store.put([record(1), record(2)])
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE sigils SET {change} WHERE issued_at_ms = 2")  # noqa: S608
    connection.close()
    for limit in (1, 2):
        listing = await store.list("acme", limit=limit, before=None, status=None, now_ms=0)
        if change.startswith("id"):
            assert list(map(id_of, listing.records)) == [record_id(1)]
        else:
            assert isinstance(listing.records[0], RecordCorruptError)
            assert list(map(id_of, listing.records)) == [record_id(2), record_id(1)][:limit]


async def test_damaged_rows_among_others(store: SqlStore, path: Path) -> None:
    """Of many records that are looked up, a damaged one has its error in its place and stops no other."""
    await store.put([record(number) for number in range(1, 4)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sigils SET key_id = 'x' WHERE issued_at_ms = 2")
    connection.close()
    found = dict(await store.get_many("acme", [record_id(number) for number in range(1, 4)]))
    damaged = found.pop(record_id(2))
    assert isinstance(damaged, RecordCorruptError)
    assert damaged.record_id == record_id(2)
    assert set(found) == {record_id(1), record_id(3)}


async def test_locked_database(store: SqlStore, path: Path) -> None:
    """While another process holds the write lock, writes fail and say so, reads go on; then all works."""
    await store.put([record(1)])
    with store._database.writing.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 100")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError) as caught:
        await asyncio.gather(store.put([record(2)]), store.probe())
    assert caught.value.reason == "locked"
    assert await ids(store) == [1]
    other.execute("ROLLBACK")
    other.close()
    await store.put([record(2)])
    assert await ids(store) == [2, 1]


async def test_full_disk(store: SqlStore) -> None:
    """When the database cannot grow nothing is acknowledged, and afterwards everything works."""
    await store.put([record(1)])
    with store._database.writing.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailableError) as caught:
        await store.put([record(2, payload=bytes(100_000))])
    assert caught.value.reason == "full"
    await store.put([record(3, payload=bytes(100_000))])  # a new connection has no such limit
    assert await ids(store) == [3, 1]


@pytest.mark.parametrize("taken", ["sigils.db", "sigils.db-wal"])
async def test_files_taken_away(store: SqlStore, path: Path, taken: str) -> None:
    """What goes to a file that is no longer there is not acknowledged; put back, it works again."""
    await store.put([record(1)])
    file, elsewhere = path.parent / taken, path.parent / "elsewhere"
    file.rename(elsewhere)
    for replaced in (False, True):
        if replaced:
            shutil.copy(elsewhere, file)
        for work in (store.put([record(2)]), store.probe(), store.get("acme", record(1).id)):
            with pytest.raises(StoreUnavailableError) as caught:
                await work
            assert caught.value.reason == "replaced"
    elsewhere.rename(file)
    await store.put([record(3)])
    assert await ids(store) == [3, 1]


async def test_file_taken_away_during_a_commit(store: SqlStore, path: Path) -> None:
    """The look after the commit notices what happened since the one before it."""

    def commit(statement: str) -> None:
        if statement == "COMMIT":
            path.unlink()

    driver(store).set_trace_callback(commit)
    with pytest.raises(StoreUnavailableError, match="replaced"):
        await store.put([record(1)])


async def test_one_bad_record_in_a_group(store: SqlStore) -> None:
    """Of records that are inserted together, one that cannot be kept fails alone, wherever it stands."""
    bad = msgspec.structs.replace(record(70), key_id=1 << 70)
    puts = [store.put([bad if number == 70 else record(number)]) for number in range(200)]
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [70]
    assert isinstance(results[70], InvalidRecordError)
    assert len(await ids(store, limit=1000)) == 199


async def test_more_rows_than_a_statement_takes(store: SqlStore) -> None:
    """However many records come together, all are kept in one transaction."""
    for first, count in ((0, 63), (100, 64), (200, 65), (300, 333)):
        await store.put([record(number) for number in range(first, first + count)])
        assert len(await ids(store, limit=1000, before=record_id(first + count))) >= count
    taken = [record(number) for number in range(900, 1000)]
    taken[99] = msgspec.structs.replace(taken[99], id=record_id(0))
    with pytest.raises(DuplicateRecordError):
        await store.put(taken)
    assert len(await ids(store, limit=1000)) == 525


def test_a_loop_that_ends_before_it_wakes_the_writer(path: Path) -> None:
    """A write whose loop ends at once is not waited for, and holds up nobody in the next."""
    store = SqlStore.open(f"sqlite:///{path}")
    loop = asyncio.new_event_loop()

    asyncio._set_running_loop(loop)
    try:
        store.put_soon([record(1)])
    finally:
        asyncio._set_running_loop(None)
    loop.close()

    async def go_on() -> None:
        await store.put([record(2)])
        assert await ids(store) == [2, 1]
        await store.close()

    asyncio.run(go_on())


async def test_bounded_queue(path: Path) -> None:
    """Beyond the bound a write is refused at once, and the store recovers when the queue is written."""
    store = SqlStore.open(f"sqlite:///{path}", max_waiting=10, max_waiting_bytes=1 << 20)
    with store._database.writing.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 60000")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.ensure_future(store.put([record(0)]))
    await asyncio.sleep(0)
    while store._writer._queue:  # noqa: ASYNC110 - emptied by a thread, which then waits for the lock
        await asyncio.sleep(0.001)
    waiting = [asyncio.ensure_future(store.put([record(number)])) for number in range(1, 11)]
    await asyncio.sleep(0)
    with pytest.raises(StoreOverloadedError):
        await store.put([record(99)])
    other.execute("ROLLBACK")
    other.close()
    await asyncio.gather(first, *waiting)
    await store.put([record(99)])
    assert len(await ids(store)) == 12
    await store.close()


async def test_bounded_bytes(path: Path) -> None:
    """Large payloads that wait are bounded by their bytes."""
    store = SqlStore.open(f"sqlite:///{path}", max_waiting_bytes=1 << 20)
    puts = [store.put([record(number, payload=bytes(600_000))]) for number in range(20)]
    results = await asyncio.gather(*puts, return_exceptions=True)
    refused = [result for result in results if isinstance(result, StoreOverloadedError)]
    assert refused
    assert len(await ids(store)) == 20 - len(refused)
    await store.close()


async def test_lookups_do_not_wait_for_listings(store: SqlStore) -> None:
    """However many listings take their time, a single record is found at once."""
    await store.put([record(1)])
    going = threading.Event()
    busy = [store._listers.submit(going.wait) for _ in range(50)]
    listing = asyncio.create_task(ids(store))
    assert await store.get("acme", record(1).id) == record(1)
    assert not listing.done()
    going.set()
    assert await listing == [1]
    assert all(one.result() for one in busy)


async def test_readers_do_not_wait_for_the_writer(store: SqlStore) -> None:
    """Reads answer while a write transaction is open."""
    await store.put([record(1)])
    with store._database.writing.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE sigils SET created_by = 'nobody'")
        kept = await store.get("acme", record(1).id)
    assert kept is not None
    assert kept.created_by == "tester"


@pytest.mark.parametrize("content", ["text", "other database", "newer version"])
def test_databases_that_are_not_ours(path: Path, content: str) -> None:
    """A file of something else, or of a newer version, is refused and left as it is."""
    path.parent.mkdir()
    if content == "text":
        path.write_text("This is no database. " * 100)
    else:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE sigil_schema (only INTEGER, version INTEGER)")
        if content == "newer version":
            connection.execute("INSERT INTO sigil_schema VALUES (1, ?)", (SCHEMA_VERSION + 1,))
        connection.commit()
        connection.close()
    with pytest.raises(StoreSchemaError):
        SqlStore.open(f"sqlite:///{path}")
