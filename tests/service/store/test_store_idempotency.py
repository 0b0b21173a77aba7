"""Idempotency keys in the SQL store: a key and its record are one, whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import (
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    InvalidRecordError,
    StoreSchemaError,
    StoreUnavailableError,
)
from core.idempotency import Claim, Claimant, KeyLimits, claim_of
from core.records import Record
from core.store.sql_idempotency import TIDY_EVERY
from core.store.sql_rows import RECORD_COLUMNS
from core.store.sql_schema import SCHEMA_VERSION
from core.store.sql_store import SqlStore
from tests.service.store.store_records import record

LIMITS = KeyLimits(seconds=10, per_tenant=100)
LIFETIME_MS = LIMITS.seconds * 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "sigils.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    """An open store."""
    opened = SqlStore.open(f"sqlite:///{path}", key_limits=LIMITS)
    yield opened
    await opened.close()


def claim(key: str, *, subject: str = "me", request: int = 0) -> Claim:
    """A claim to a key for one of several requests."""
    return claim_of(Claimant("i", subject), key, canonical_sha256=bytes([request] * 32), expires_in=None)


@contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, beside the store; what is written is committed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def counts(path: Path) -> tuple[int, int]:
    """How many records and keys there are."""
    with database(path) as connection:
        tables = ("sigils", "sigil_idempotency_keys")
        found = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608
    return found[0], found[1]


def test_claims() -> None:
    """A claim is told apart by issuer, subject, key, payload and lifetime, and by nothing else."""
    digest = bytes(32)
    claims = [
        claim_of(Claimant(issuer, subject), key, canonical_sha256=payload, expires_in=lifetime)
        for issuer, subject, key in (
            ("i", "me", "key"),
            ("i", "me", "yek"),
            ("i", "m", "ekey"),
            ("i", "mek", "ey"),
            ("i", "\u00e9", "key"),
            ("im", "e", "key"),
            ("i2:m", "e", "key"),
            ("", "ime", "key"),
        )
        for payload in (digest, bytes([1] * 32))
        for lifetime in (None, 1.0, 1.5)
    ]
    assert len({one.key_digest for one in claims}) == 8
    assert len({(one.key_digest, one.request_digest) for one in claims}) == len(claims)
    whole = claim_of(Claimant("i", "me"), "key", canonical_sha256=digest, expires_in=1)
    assert whole == claim_of(Claimant("i", "me"), "key", canonical_sha256=digest, expires_in=1.0)


async def test_the_first_record_stays(store: SqlStore, path: Path) -> None:
    """The same key and request give the record that was kept first, without its payload."""
    first = record(1, payload=b'{"a":1}')
    assert await store.put_once(first, claim("k")) == first
    again = await store.put_once(record(2, payload=b'{"a":1}'), claim("k"))
    assert again == msgspec.structs.replace(first, payload=None)
    assert await store.get("acme", record(2).id) is None
    assert counts(path) == (1, 1)


async def test_another_request(store: SqlStore, path: Path) -> None:
    """A key cannot be used for something else, and the attempt changes nothing."""
    await store.put_once(record(1), claim("k"))
    with pytest.raises(IdempotencyKeyReusedError):
        await store.put_once(record(2), claim("k", request=1))
    assert counts(path) == (1, 1)
    assert (await store.put_once(record(3), claim("k"))).id == record(1).id


async def test_others_keys(store: SqlStore) -> None:
    """Other subjects and tenants have keys of their own, though they look the same."""
    for number, (tenant, subject) in enumerate([("acme", "me"), ("acme", "you"), ("globex", "me")]):
        kept = await store.put_once(record(number, tenant=tenant), claim("k", subject=subject))
        assert kept.id == record(number).id
        assert kept.tenant == tenant


async def test_expiry(store: SqlStore, path: Path) -> None:
    """A key is held for its lifetime to the millisecond, and is then free for another request."""
    await store.put_once(record(5), claim("k"))
    with pytest.raises(IdempotencyKeyReusedError):
        await store.put_once(record(5 + LIFETIME_MS - 1), claim("k", request=1))
    late = record(5 + LIFETIME_MS)
    assert await store.put_once(late, claim("k", request=1)) == late
    assert (await store.put_once(record(6 + LIFETIME_MS), claim("k", request=1))).id == late.id
    assert counts(path) == (2, 1)


async def test_a_clock_that_goes_back(store: SqlStore) -> None:
    """A clock set back by up to a lifetime forgets no key; one that was far ahead leaves none behind."""
    ahead = record(3 * LIFETIME_MS)
    await store.put_once(ahead, claim("k"))
    for number in (3 * LIFETIME_MS - 1, 2 * LIFETIME_MS):
        assert (await store.put_once(record(number), claim("k"))).id == ahead.id
    now = record(2 * LIFETIME_MS - 1)
    assert await store.put_once(now, claim("k")) == now


async def test_deleted_records(store: SqlStore, path: Path) -> None:
    """A key whose record an operator has deleted is free."""
    await store.put_once(record(1), claim("k"))
    with database(path) as connection:
        connection.execute("DELETE FROM sigils")
    assert await store.put_once(record(2), claim("k", request=1)) == record(2)


async def test_failures_use_up_nothing(store: SqlStore, path: Path) -> None:
    """A record that could not be kept leaves its key free, alone as well as in a group."""
    await store.put([record(1)])
    bad = [
        (record(1, payload=b"[]"), DuplicateRecordError),
        (record(2, expires_at_ms=1 << 70), InvalidRecordError),
    ]
    for unkeepable, kind in bad:
        with pytest.raises(kind):
            await store.put_once(unkeepable, claim("alone"))
    writes = [store.put_once(unkeepable, claim("group")) for unkeepable, _ in bad]
    good = [store.put_once(record(number), claim("group")) for number in (3, 4)]
    results: list[Any] = await asyncio.gather(*writes, *good, return_exceptions=True)
    assert [type(result) for result in results[:2]] == [DuplicateRecordError, InvalidRecordError]
    assert [result.id for result in results[2:]] == [record(3).id] * 2
    assert counts(path) == (2, 1)
    assert await store.put_once(record(5), claim("alone", request=1)) == record(5)


async def test_a_locked_database(store: SqlStore, path: Path) -> None:
    """While nothing can be written nothing is used up, and afterwards the key works."""
    await store.put_once(record(1), claim("k"))
    with store._database.writing.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            await store.put_once(record(2), claim("l"))
        other.execute("ROLLBACK")
    assert await store.put_once(record(3), claim("l", request=1)) == record(3)


async def test_one_key_at_once(store: SqlStore, path: Path) -> None:
    """Of many calls at once one keeps its record, and all answer with it, among others' writes."""
    calls: list[Any] = []
    for number in range(1, 101):
        calls.append(store.put_once(record(number), claim("k")))
        calls.append(store.put([record(1000 + number)]))
        calls.append(store.put_once(record(2000 + number), claim("k", request=1)))
    results: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert {result.id for result in results[::3]} == {record(1).id}
    assert set(results[1::3]) == {None}
    assert {type(result) for result in results[2::3]} == {IdempotencyKeyReusedError}
    assert counts(path) == (101, 1)


async def test_a_reopened_store_remembers(path: Path) -> None:
    """Keys are in the database, not in the process."""
    for number in (1, 2):
        store = SqlStore.open(f"sqlite:///{path}", key_limits=LIMITS)
        assert (await store.put_once(record(number), claim("k"))).id == record(1).id
        await store.close()


async def test_expired_keys_are_deleted(store: SqlStore, path: Path) -> None:
    """Keys that nobody asks for again go, of whatever tenant, while others come."""
    for number in range(90):
        await store.put_once(record(number, tenant=f"tenant {number % 3}"), claim(str(number)))
    assert counts(path) == (90, 90)
    for number in range(LIFETIME_MS + 100, LIFETIME_MS + 100 + TIDY_EVERY):
        await store.put_once(record(number), claim(str(number)))
    assert counts(path) == (90 + TIDY_EVERY, TIDY_EVERY)


async def test_a_tenants_share(store: SqlStore, path: Path) -> None:
    """Beyond its share a tenant's own oldest keys are forgotten, and nobody else's."""
    await store.put_once(record(0, tenant="quiet"), claim("kept"))
    made = 5 * LIMITS.per_tenant
    for turn in range(0, made, 50):  # in groups, which is quicker
        await asyncio.gather(*(store.put_once(record(turn + n), claim(str(turn + n))) for n in range(1, 51)))
    with database(path) as connection:
        rows = connection.execute(
            "SELECT tenant, count(*) FROM sigil_idempotency_keys GROUP BY tenant ORDER BY tenant"
        ).fetchall()
    held = dict(rows)
    assert held["quiet"] == 1
    assert LIMITS.per_tenant <= held["acme"] < LIMITS.per_tenant + TIDY_EVERY
    newest = made - LIMITS.per_tenant + 1
    assert (await store.put_once(record(9000), claim(str(newest)))).id == record(newest).id
    assert (await store.put_once(record(9001), claim("1"))).id == record(9001).id
    assert (await store.put_once(record(9002, tenant="quiet"), claim("kept"))).id == record(0).id


async def test_a_share_that_was_made_smaller(path: Path) -> None:
    """A start with a lower bound removes the surplus, a bounded piece at a time."""
    store = SqlStore.open(f"sqlite:///{path}", key_limits=KeyLimits(seconds=10, per_tenant=2000))
    await asyncio.gather(*(store.put_once(record(n), claim(str(n))) for n in range(400)))
    await store.close()
    store = SqlStore.open(f"sqlite:///{path}", key_limits=LIMITS)
    held = [400]
    for turn in range(8):
        numbers = range(400 + turn * TIDY_EVERY, 400 + (turn + 1) * TIDY_EVERY)
        await asyncio.gather(*(store.put_once(record(n), claim(str(n))) for n in numbers))
        held.append(counts(path)[1])
    await store.close()
    assert max(before - after for before, after in itertools.pairwise(held)) == TIDY_EVERY
    assert LIMITS.per_tenant <= held[-1] < LIMITS.per_tenant + TIDY_EVERY


def _claim_all(path: str, start: Any, found: Any, worker: int) -> None:
    async def work() -> list[str]:
        store = SqlStore.open(f"sqlite:///{path}", key_limits=LIMITS)
        start.wait(30)
        numbers = range(worker * 1000, worker * 1000 + 60)
        kept = await asyncio.gather(
            *(store.put_once(record(number), claim(str(number % 20))) for number in numbers)
        )
        await store.close()
        return [one.id for one in kept]

    found.put(asyncio.run(work()))


def test_several_processes(path: Path) -> None:
    """Processes that claim the same keys in one file at the same time agree on the records."""
    context = multiprocessing.get_context("forkserver")
    start, found = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=_claim_all, args=(str(path), start, found, worker)) for worker in range(1, 4)
    ]
    for process in processes:
        process.start()
    answers = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
        process.close()
    found.close()
    found.join_thread()
    by_key = [{answer[index] for answer in answers for index in range(key, 60, 20)} for key in range(20)]
    assert all(len(ids) == 1 for ids in by_key)
    assert counts(path) == (20, 20)


#: The schema as version 1 of the service made it.
_VERSION_1 = """
CREATE TABLE sigil_probe (only INTEGER NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (only));
CREATE TABLE sigil_schema (only INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (only));
CREATE TABLE sigils (
  "row" INTEGER NOT NULL, tenant TEXT NOT NULL, id BLOB NOT NULL, sigil TEXT NOT NULL, key_id BIGINT NOT NULL,
  issued_at_ms BIGINT NOT NULL, expires_at_ms BIGINT NOT NULL, canonical_sha256 BLOB NOT NULL,
  created_at_ms BIGINT NOT NULL, created_by TEXT NOT NULL, revoked_at_ms BIGINT, revoked_by TEXT,
  revoked_reason TEXT, payload BLOB NOT NULL, PRIMARY KEY ("row")
);
CREATE UNIQUE INDEX sigils_by_id ON sigils (tenant, id DESC);
CREATE INDEX sigils_revoked ON sigils (tenant, id DESC) WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX sigils_expiring ON sigils (tenant, id DESC, expires_at_ms) WHERE expires_at_ms > 0;
INSERT INTO sigil_schema VALUES (1, 1);
INSERT INTO sigil_probe VALUES (1, 7);
PRAGMA journal_mode = WAL;
"""


def old_database(path: Path, *records: Record) -> None:
    """Make a database of version 1 with these records."""
    names = [name for name in RECORD_COLUMNS if name != "id"]
    with database(path) as connection:
        connection.executescript(_VERSION_1)
        for old in records:
            values = [getattr(old, name) for name in names]
            marks = ", ".join("?" for _ in names)
            connection.execute(
                f"INSERT INTO sigils (id, {', '.join(names)}) VALUES (?, {marks})",  # noqa: S608
                (bytes.fromhex(old.id.replace("-", "")), *values),
            )


def schema(path: Path) -> set[tuple[str, str]]:
    """What a database consists of, without white space."""
    with database(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(name, "".join(sql.split())) for name, sql in rows}


async def test_an_old_database(path: Path, tmp_path: Path) -> None:
    """A database of version 1 becomes what a new one is, keeps its records, and takes keys."""
    old = [record(1, payload=b'{"a":1}'), record(2, tenant="globex", expires_at_ms=9)]
    old_database(path, *old)
    for _ in range(2):
        store = SqlStore.open(f"sqlite:///{path}", key_limits=LIMITS)
        for kept in old:
            assert await store.get(kept.tenant, kept.id) == kept
        assert (await store.put_once(record(3), claim("k"))).id == record(3).id
        await store.close()
    new = tmp_path / "new.db"
    await SqlStore.open(f"sqlite:///{new}").close()
    assert schema(path) == schema(new)
    with database(path) as connection:
        assert connection.execute("SELECT version FROM sigil_schema").fetchall() == [(SCHEMA_VERSION,)]


async def test_an_upgrade_that_fails(path: Path) -> None:
    """What cannot be brought up to date stays as it was, to the last table."""
    old_database(path, record(1))
    with database(path) as connection:
        connection.execute("CREATE INDEX sigil_idempotency_keys_by_time ON sigils (created_at_ms)")
    before = schema(path)
    with pytest.raises((StoreSchemaError, StoreUnavailableError)):
        SqlStore.open(f"sqlite:///{path}")
    assert schema(path) == before
    with database(path) as connection:
        connection.execute("DROP INDEX sigil_idempotency_keys_by_time")
    store = SqlStore.open(f"sqlite:///{path}")
    assert await store.get("acme", record(1).id) == record(1)
    await store.close()
