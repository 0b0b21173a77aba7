"""The SQL store: what it acknowledges stays, and nothing else is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
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
from core.store.sql_schema import SCHEMA_VERSION
from core.store.sql_store import SqlStore
from tests.service.store.store_records import record, record_id


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


async def ids(store: SqlStore, **options: Any) -> list[int]:
    """Numbers of the records that a listing shows."""
    chosen = {"limit": 100, "before": None, "status": None, "now_ms": 0, **options}
    return [shown.issued_at_ms for shown in (await store.list("acme", **chosen)).records]


async def test_a_record_comes_back_as_it_went(store: SqlStore) -> None:
    """Every field survives; a listing leaves the payload out."""
    kept = record(1, payload=b'{"a":"\xe2\x82\xac"}', expires_at_ms=5)
    await store.put([kept])
    assert await store.get("acme", kept.id) == kept
    without = await store.get("acme", kept.id, with_payload=False)
    assert without is not None
    assert without.payload is None
    assert await store.get("other", kept.id) is None


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
    commits = 0

    def committed(_: object) -> None:
        nonlocal commits
        commits += 1

    sa.event.listen(store._database.writing, "commit", committed)
    await asyncio.gather(*(store.put([record(number)]) for number in range(500)))
    assert commits <= 5
    assert len(await ids(store, limit=1000)) == 500


async def test_a_failing_write_fails_alone(store: SqlStore) -> None:
    """In a group, a duplicate and an impossible record fail, their neighbours are kept, atomically each."""
    await store.put([record(5)])
    writes = [
        [record(1)],
        [record(5, payload=b"[]")],
        [record(2), record(3)],
        [record(4, expires_at_ms=1 << 70)],
        [record(6), record(5, payload=b"[]")],
        [record(7)],
    ]
    results = await asyncio.gather(*(store.put(write) for write in writes), return_exceptions=True)
    kinds = [None if result is None else type(result) for result in results]
    assert kinds == [None, DuplicateRecordError, None, InvalidRecordError, DuplicateRecordError, None]
    assert await ids(store) == [7, 5, 3, 2, 1]


async def test_one_id_for_two_tenants(store: SqlStore) -> None:
    """Tenants do not see, and cannot block, each other's ids."""
    await store.put([record(1)])
    await store.put([record(1, tenant="other")])
    assert await ids(store) == [1]
    assert await store.revoke("third", record(1).id, reason="x", revoked_by="y", now_ms=1) is None
    await store.revoke("other", record(1).id, reason="x", revoked_by="y", now_ms=1)
    kept = await store.get("acme", record(1).id)
    assert kept is not None
    assert kept.revoked_at_ms is None


async def test_revocation_keeps_the_first_reason(store: SqlStore) -> None:
    """A second revocation changes nothing, also when both wait for one commit."""
    await store.put([record(1)])
    await store.put([record(2)])
    calls = [
        store.revoke("acme", record(1).id, reason=str(n), revoked_by="me", now_ms=n) for n in range(1, 9)
    ]
    answers = await asyncio.gather(*calls)
    assert {(answer.revoked_reason, answer.revoked_at_ms) for answer in answers if answer} == {("1", 1)}
    again = await store.revoke("acme", record(1).id, reason="later", revoked_by="you", now_ms=99)
    assert again is not None
    assert (again.revoked_reason, again.revoked_by) == ("1", "me")
    assert await store.revoke("acme", record(3).id, reason="x", revoked_by="me", now_ms=1) is None


async def test_listing_by_status(store: SqlStore) -> None:
    """A status shows exactly the records that stand so, and revoked wins over expired."""
    await store.put(
        [record(1), record(2, expires_at_ms=50), record(3, expires_at_ms=150), record(4, expires_at_ms=50)]
    )
    await store.revoke("acme", record(4).id, reason="x", revoked_by="y", now_ms=1)
    assert await ids(store, status="active", now_ms=100) == [3, 1]
    assert await ids(store, status="expired", now_ms=100) == [2]
    assert await ids(store, status="expired", now_ms=50) == [2]
    assert await ids(store, status="revoked", now_ms=100) == [4]


async def test_listing_stays_right_while_rows_arrive(store: SqlStore) -> None:
    """Pages neither repeat nor skip a record that was there at the start."""
    await store.put([record(number) for number in range(0, 100, 2)])
    seen: list[int] = []
    before = None
    while page := await ids(store, limit=7, before=before):
        seen += page
        before = record(page[-1]).id
        await store.put([record(101 + len(seen)), record(page[-1] + 1)])
    assert seen[: len(seen)] == sorted(set(seen), reverse=True)
    assert set(seen) >= set(range(0, 100, 2))


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
    "change", ["id = 'sixteen letters.'", "id = 1", "key_id = 'x'", "created_at_ms = 1.5"]
)
async def test_rows_of_somebody_else(store: SqlStore, path: Path, change: str) -> None:
    """A row with other types than ours is reported as what it is."""
    await store.put([record(1)])
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE sigils SET {change}")  # noqa: S608
    connection.close()
    with pytest.raises(RecordCorruptError):
        await ids(store)


async def test_many_are_looked_up(store: SqlStore, path: Path) -> None:
    """Of the ids asked for, the tenant's own come back, however many; a damaged row stops no other."""
    kept = [record(number) for number in range(1, 251)]
    await store.put([*kept, record(999, tenant="other")])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sigils SET key_id = 'x' WHERE issued_at_ms = 7")
    connection.close()
    asked = [one.id for one in kept[::-1]]
    found = dict(await store.get_many("acme", [record_id(999), *asked, record_id(1000), asked[0]]))
    damaged = found.pop(record_id(7))
    assert isinstance(damaged, RecordCorruptError)
    assert damaged.record_id == record_id(7)
    assert found == {
        one.id: msgspec.structs.replace(one, payload=None) for one in kept if one.issued_at_ms != 7
    }
    assert await store.get_many("acme", []) == {}


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

    def commit(_: object) -> None:
        path.unlink()

    sa.event.listen(store._database.writing, "commit", commit)
    with pytest.raises(StoreUnavailableError, match="replaced"):
        await store.put([record(1)])


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


async def test_cancelled_callers(store: SqlStore) -> None:
    """Callers that give up leave whole records or none, and nobody else's write suffers."""
    tasks = [asyncio.ensure_future(store.put([record(2 * n), record(2 * n + 1)])) for n in range(200)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is None for result in results[1::2])
    found = set(await ids(store, limit=1000))
    for n in range(200):
        assert (2 * n in found) == (2 * n + 1 in found)
        assert results[n] is not None or 2 * n in found


async def test_close_writes_what_waits(path: Path) -> None:
    """Writes that were accepted before the close are acknowledged; later ones are refused."""
    store = SqlStore.open(f"sqlite:///{path}")
    tasks = [asyncio.ensure_future(store.put([record(number)])) for number in range(300)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*tasks)
    for late in (store.put([record(999)]), store.get("acme", record(1).id), store.probe()):
        with pytest.raises(StoreUnavailableError):
            await late
    again = SqlStore.open(f"sqlite:///{path}")
    assert len(await ids(again, limit=1000)) == 300
    await again.close()


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


def _write_until_killed(path: str, acknowledged: Any) -> None:
    async def write() -> None:
        store = SqlStore.open(f"sqlite:///{path}")

        async def one(worker: int) -> None:
            for turn in range(1_000_000):
                number = turn * 16 + worker
                await store.put([record(number)])
                acknowledged.send(number)

        await asyncio.gather(*(one(worker) for worker in range(16)))

    asyncio.run(write())


async def test_killed_writer(path: Path) -> None:
    """After a kill in the middle of group commits every acknowledged record is there."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_write_until_killed, args=(str(path), sending))
    process.start()
    sending.close()
    acknowledged: set[int] = set()
    while len(acknowledged) < 500:
        acknowledged.add(receiving.recv())
    assert process.pid is not None
    os.kill(process.pid, 9)
    with contextlib.suppress(EOFError):
        while True:
            acknowledged.add(receiving.recv())
    receiving.close()
    process.join()
    process.close()
    store = SqlStore.open(f"sqlite:///{path}")
    assert acknowledged <= set(await ids(store, limit=1_000_000))
    await store.close()
