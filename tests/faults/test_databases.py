"""Databases killed, frozen and full, and who writes to them: what was acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.errors import StoreUnavailableError
from core.records import Place
from core.store.postgresql import Patience, PostgresDatabase
from core.store.sql_schema import create_or_check
from core.store.sql_store import SqlStore
from core.store.store_url import parse_store_url
from servers.postgresql import PostgresServer, running_postgres
from tests.heavy import HEAVY
from tests.service.store.contract import claim
from tests.service.store.store_records import entry, record, record_id, records_of

heavily = pytest.mark.heavy("kills servers for a while")
ROUNDS = 15 if HEAVY else 1
#: A put is of so many records.
TOGETHER = 3
#: Numbers of what each kind of write makes.
ONCE, REVOKED = 1_000_000, 2_000_000


@pytest.fixture
def chance() -> random.Random:
    """Randomness whose seed is printed."""
    seed = random.randrange(1 << 32)
    print(f"seed: {seed}")
    return random.Random(seed)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server that syncs what it commits."""
    with running_postgres(durable=True) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=heavily)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sigils.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def write_until_killed(url: str, first: int, acknowledged: Any) -> None:
    """Write in every way, and tell what was acknowledged."""

    async def write() -> None:
        store = SqlStore.open(url)

        async def one(worker: int) -> None:
            for turn in range(1_000_000):
                number = first + turn * 16 + worker
                many = [
                    record(number * TOGETHER + n, payload=bytes(turn % 7 * 1000)) for n in range(TOGETHER)
                ]
                await store.put(many, [entry(number + 1)])
                acknowledged.send(("put", number))
                await store.put_once(record(ONCE + number), claim(str(number)))
                acknowledged.send(("once", number))
                await store.revoke(
                    "acme", record_id(number * TOGETHER), reason="r", revoked_by="y", now_ms=number
                )
                acknowledged.send(("revoke", number))

        await asyncio.gather(*(one(worker) for worker in range(16)))

    asyncio.run(write())


@contextmanager
def killed(target: Callable[..., None], *arguments: Any, after: float) -> Iterator[list[Any]]:
    """A process that is killed so many seconds after it began to send; everything that it has sent."""
    context = multiprocessing.get_context("forkserver")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*arguments, sending))
    process.start()
    sending.close()
    received: list[Any] = []
    try:
        received.append(receiving.recv())
        time.sleep(after)
    finally:
        assert process.pid is not None
        os.kill(process.pid, 9)
        with suppress(EOFError):
            while True:
                received.append(receiving.recv())
        receiving.close()
        process.join()
        process.close()
    yield received


async def everything(store: SqlStore) -> tuple[dict[int, Any], set[int]]:
    """All records by number, and the numbers of all entries."""
    records: dict[int, Any] = {}
    before = None
    while page := records_of(await store.list("acme", limit=1000, before=before, status=None, now_ms=0)):
        records |= {one.issued_at_ms: one for one in page}
        before = page[-1].id
    entries: set[int] = set()
    after = None
    while found := await store.entries("acme", after=after, limit=1000):
        entries |= {one.number for one in found}
        after = Place(found[-1].chain, found[-1].number)
    return records, entries


async def test_killed_writers(url: str, chance: random.Random) -> None:
    """Killed at any point of the group commit: all that was acknowledged is there, and nothing by half."""
    acknowledged: set[tuple[str, int]] = set()
    for turn in range(ROUNDS):
        seconds = chance.uniform(0, 0.3)
        with killed(write_until_killed, url, turn * 10_000, after=seconds) as told:
            acknowledged |= set(told)
        store = SqlStore.open(url)
        records, entries = await everything(store)
        for kind, number in acknowledged:
            if kind == "put":
                assert {number * TOGETHER + n for n in range(TOGETHER)} <= set(records)
            elif kind == "once":
                assert ONCE + number in records
            else:
                assert records[number * TOGETHER].revoked_at_ms == number
        for number in (one for one in records if one < ONCE):
            whole = number // TOGETHER
            assert {whole * TOGETHER + n for n in range(TOGETHER)} <= set(records)
            assert whole + 1 in entries
        for number in sorted(one - ONCE for one in records if one >= ONCE)[-20:]:
            again = await store.put_once(record(REVOKED + number), claim(str(number)))
            assert again.id == record_id(ONCE + number)
        await store.close()


def back_to_version(url: str, version: int) -> None:
    """Make a database what an earlier version would have made, in one transaction."""
    drop = ["DROP TABLE sigil_history"] + ["DROP TABLE sigil_idempotency_keys"] * (version == 1)
    statements = [*drop, f"UPDATE sigil_schema SET version = {version}"]  # noqa: S608 - a number
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            for statement in ("BEGIN IMMEDIATE", *statements, "COMMIT"):
                connection.execute(statement)
    else:
        with psycopg.connect(url) as connection:
            for statement in statements:
                connection.execute(statement.encode())


def migrate_until_killed(url: str, told: Any) -> None:
    """Bring a database up to date again and again."""
    for turn in range(1_000_000):
        back_to_version(url, turn % 2 + 1)
        told.send(turn)
        asyncio.run(SqlStore.open(url).close())


async def test_killed_migrations(url: str, chance: random.Random) -> None:
    """Killed in the middle of a migration, a database is of the old version or the new, and loses nothing."""
    store = SqlStore.open(url)
    await store.put([record(number) for number in range(200)])
    await store.close()
    for _ in range(ROUNDS):
        seconds = chance.uniform(0, 0.2)
        with killed(migrate_until_killed, url, after=seconds):
            pass
        store = SqlStore.open(url)
        await store.put_once(record(0), claim("k"))
        await store.put([], [entry(1)])
        assert await store.count() == {"acme": 200}
        await store.close()


@heavily
async def test_server_killed_under_load(chance: random.Random) -> None:
    """A server killed at any point of a commit has all that was acknowledged when it is back."""
    with running_postgres(durable=True) as server:
        store = SqlStore.open(server.new_database())
        acknowledged: set[int] = set()
        refused = 0

        async def write(worker: int, turn: int, stop: asyncio.Event) -> None:
            nonlocal refused
            number = turn * 1_000_000 + worker
            while not stop.is_set():
                try:
                    await store.put([record(number)])
                except StoreUnavailableError:
                    refused += 1
                    await asyncio.sleep(0.01)
                else:
                    acknowledged.add(number)
                    number += 16

        for turn in range(10):
            stop = asyncio.Event()
            writers = [asyncio.create_task(write(worker, turn, stop)) for worker in range(16)]
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
            before = len(acknowledged)
            async with asyncio.timeout(60):
                while len(acknowledged) < before + 50:  # noqa: ASYNC110 - filled by several tasks
                    await asyncio.sleep(0.01)
            stop.set()
            await asyncio.gather(*writers)
        records, _ = await everything(store)
        assert acknowledged <= set(records)
        assert refused
        await store.close()


@heavily
async def test_an_outage(postgres: PostgresServer) -> None:
    """Killed, stopped or frozen, the server makes calls fail in bounded time; when it is back all works."""
    server = postgres
    hurry = Patience(connect=2, lock=0.2, statement=1, answer=1.5)
    url = parse_store_url(server.new_database())
    store = SqlStore(PostgresDatabase(url, create_or_check, readers=6, patience=hurry))
    kept = 0

    async def fails(expected: set[str]) -> None:
        began = time.monotonic()
        lost = [store.put([record(1000 + n)]) for n in range(5)]
        calls = [*lost, store.probe(), store.get("acme", record_id(1)), store.count()]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {result.reason for result in results if isinstance(result, StoreUnavailableError)} <= expected
        assert all(isinstance(result, StoreUnavailableError) for result in results), results
        assert time.monotonic() - began < 30

    async def works() -> None:
        nonlocal kept
        while kept % 5 != 4:
            kept += 1
            await store.put([record(kept)])
        kept += 1
        await store.put([record(kept)])
        assert set(range(1, kept + 1)) <= set((await everything(store))[0])
        assert await store.get("acme", record_id(kept)) == record(kept)

    await works()
    server.kill()
    await fails({"connection"})
    server.start()
    await works()
    server.stop()
    await fails({"connection"})
    server.start()
    await works()
    server.freeze()
    await fails({"timeout"})
    server.thaw()
    await works()
    await store.close()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of its own; gives a function that changes its size."""

    def resize(larger: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={larger}", folder], check=True)

    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", folder], check=True)
    try:
        yield resize
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@heavily
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a file system")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_full_disk(kind: str, tmp_path: Path) -> None:
    """On a full disk nothing is acknowledged and reads go on; with more room everything works again."""
    with running_postgres() as server, small_disk(server.folder / "disk", "24m") as resize:
        if kind == "sqlite":
            url = f"sqlite:///{server.folder / 'disk' / 'sigils.db'}"
        else:
            (server.folder / "disk" / "space").mkdir(mode=0o700)
            shutil.chown(server.folder / "disk" / "space", "postgres", "postgres")
            with server.connect() as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{server.folder}/disk/space'".encode())
                connection.execute("CREATE DATABASE small TABLESPACE small")
            url = server.url("small")
        store = SqlStore.open(url)
        kept, reasons = 0, set()
        for number in range(1, 200):
            try:
                await store.put([record(number, payload=os.urandom(300_000))])
            except StoreUnavailableError as error:
                reasons.add(error.reason)
                if number > kept + 5:
                    break
            else:
                kept = number
        assert reasons == {"full"}
        assert await store.get("acme", record_id(kept), with_payload=False) is not None
        assert await store.count() == {"acme": kept}
        resize("200m")
        await store.put([record(1000, payload=os.urandom(1_000_000))])
        assert await store.count() == {"acme": kept + 1}
        await store.close()
