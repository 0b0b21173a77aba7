"""How a spool is emptied, bounded, told of and kept: what is refused or damaged, workers, restarts, files."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.outages import Outages
from core.errors import (
    RecordCorruptError,
    StoreSchemaError,
    StoreUnavailableError,
)
from core.idempotency import Claim
from core.records import CanonicalJson, Record
from core.spool.bounds import Bounds
from core.spool.forwarder import Pace
from core.spool.spool import Spool
from core.spool.spooled_store import SpooledStore
from tests.service.spool.switch import Switch, Watcher, ids, listed, spooled, until, until_empty
from tests.service.store.store_records import record, record_id

CLAIM = Claim(b"k" * 32, b"r" * 32)


async def test_what_the_store_refuses_for_good(switch: Switch, tmp_path: Path) -> None:
    """It is set aside with its reason, stops nothing, is found still, and can be sent again."""
    store = spooled(switch, tmp_path, watcher=(watcher := Watcher()))
    await switch.store.put([record(2, payload=b"[]")])
    switch.mode = "down"
    for number in (1, 2, 3):
        await store.put([record(number)])
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert sorted(watcher.outcomes) == ["kept", "kept", "rejected"]
    assert store.rejected == 1
    found = await store.get("acme", record_id(2))
    assert found is not None
    assert found.payload == b"[]"
    await switch.store.purge("acme", before=record_id(3), limit=10)
    assert await store.get("acme", record_id(2)) == record(2)
    revoked = await store.revoke("acme", record_id(2), reason="a", revoked_by="me", now_ms=7)
    assert revoked is not None
    await until(lambda: store.rejected == 2)
    await store.close()
    spool = Spool.open(tmp_path / "spool.db")
    assert await spool.retry() == 2
    await spool.close()
    again = spooled(switch, tmp_path)
    again.start()
    await until_empty(again)
    assert again.rejected == 0
    kept = await switch.store.get("acme", record_id(2), with_payload=False)
    assert kept == listed(record(2), revoked_at_ms=7, revoked_by="me", revoked_reason="a")
    await again.close()


async def test_a_damaged_write(switch: Switch, store: SpooledStore, tmp_path: Path) -> None:
    """It is set aside, and neither stops the others nor is it sent as what it has become."""
    switch.mode = "down"
    for number in (1, 2, 3):
        await store.put([record(number)])
    with closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
        connection.execute(
            "UPDATE spool_writes SET body = replace(body, 'tester', 'taster') WHERE sequence = 2"
        )
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert store.rejected == 1
    assert await switch.store.count() == {"acme": 2}


async def test_a_damaged_write_in_listings(switch: Switch, store: SpooledStore, tmp_path: Path) -> None:
    """It has its error in its place, while the store is away and afterwards, and pages go on behind it."""
    await switch.store.put([record(4)])
    switch.mode = "down"
    for number in (1, 2, 3):
        await store.put([record(number)])
    with closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
        connection.execute(
            "UPDATE spool_writes SET body = replace(body, 'tester', 'taster') WHERE sequence = 2"
        )
    for mode, newest in (("down", 3), ("up", 4)):
        switch.mode = "down" if mode == "down" else "up"
        walked, before = [], None
        while page := await ids(store, limit=1, before=before):
            walked += page
            before = page[-1]
        assert walked == [record_id(number) for number in range(newest, 0, -1)]
        listing = await store.list("acme", limit=9, before=record_id(3), status="active", now_ms=0)
        assert list(map(type, listing.records)) == [RecordCorruptError, Record]


async def test_bounds(switch: Switch, tmp_path: Path) -> None:
    """A full spool, or one whose oldest write is too old, refuses new writes and drops none."""
    now = 1_000_000
    store = spooled(switch, tmp_path, bounds=Bounds(3000, 60_000), clock=lambda: now)
    switch.mode = "down"
    await store.put([record(1)])
    await store.probe()
    await store.put([record(2)])
    await store.put([record(3)])
    with pytest.raises(StoreUnavailableError, match="spool_full") as caught:
        await store.put([record(4)])
    assert caught.value.retry_after == 30
    with pytest.raises(StoreUnavailableError, match="spool_full"):
        await store.put_once(record(30), CLAIM)
    with pytest.raises(StoreUnavailableError, match="spool_full"):
        await store.probe()
    assert store.condition == "full"
    switch.mode = "up"
    store.start()
    await until_empty(store)
    switch.mode = "down"
    await store.put([record(40)])
    now += 60_001
    with pytest.raises(StoreUnavailableError, match="spool_full"):
        await store.put([record(41)])
    switch.mode = "up"
    await until_empty(store)
    await store.put([record(41)])
    assert await store.count() == {"acme": len(set(switch.effects))}
    await store.close()


async def test_two_workers(switch: Switch, tmp_path: Path) -> None:
    """Each sees at once what waits for the other, and one of them forwards for both."""
    first, second = spooled(switch, tmp_path), spooled(switch, tmp_path)
    switch.mode = "down"
    await first.put([record(1)])
    assert await second.get("acme", record_id(1)) == msgspec.structs.replace(record(1), stale=True)
    await second.put([record(2)])
    revoked = await second.revoke("acme", record_id(1), reason="a", revoked_by="me", now_ms=7)
    assert revoked is not None
    assert await ids(first, status="revoked") == [record_id(1)]
    switch.mode = "up"
    second.start()
    await until_empty(first)
    assert [effect[:1] + effect[2:] for effect in switch.effects] == [
        ("put", record_id(1)),
        ("put", record_id(2)),
        ("revoke", record_id(1)),
    ]
    await first.close()
    await second.close()


async def test_a_restart(switch: Switch, tmp_path: Path) -> None:
    """What waits outlives the process, and new writes go behind it."""
    store = spooled(switch, tmp_path)
    switch.mode = "down"
    await store.put([record(1)])
    await store.close()
    with pytest.raises(StoreUnavailableError):
        await store.put([record(2)])
    switch.mode = "up"
    again = spooled(switch, tmp_path)
    await again.put([record(2)])
    assert switch.effects == []
    again.start()
    await until_empty(again)
    assert [effect[2] for effect in switch.effects] == [record_id(1), record_id(2)]
    await again.close()


async def test_outages_are_told(switch: Switch, tmp_path: Path) -> None:
    """Their beginning with the reason, and their end when nothing waits any more."""
    told: list[str | None] = []
    store = spooled(switch, tmp_path, watcher=(watcher := Watcher()), on_change=told.append)
    store.start()
    switch.mode = "down"
    for number in (1, 2):
        await store.put([record(number)])
    assert told == ["connection"]
    switch.mode = "up"
    await until_empty(store)
    await until(lambda: len(told) == 2)
    assert told == ["connection", None]
    await until(lambda: bool(watcher.spools) and not watcher.spools[-1][0])
    assert watcher.outcomes == ["kept", "kept"]
    await store.close()


async def test_what_waits_is_told_between_attempts(switch: Switch, tmp_path: Path) -> None:
    """However long the next attempt is off, the observer knows what waits now."""
    watcher = Watcher()
    pace = Pace(first_pause=60, longest_pause=60, look=0.01)
    store = SpooledStore(switch, Spool.open(tmp_path / "spool.db"), watcher, pace=pace)
    store.start()
    switch.mode = "down"

    def told() -> int:
        return watcher.spools[-1][0] if watcher.spools else 0

    await store.put([record(1)])
    await until(lambda: told() == 1)
    await store.put([record(2)])
    await until(lambda: told() == 2)
    await store.close()


async def test_told_that_the_store_is_back(switch: Switch, tmp_path: Path) -> None:
    """Whoever finds out that the store answers has all forwarded, however long the next attempt is off."""
    watcher = Watcher()
    pace = Pace(first_pause=60, longest_pause=60, look=0.01)
    store = SpooledStore(switch, Spool.open(tmp_path / "spool.db"), watcher, pace=pace)
    outages = Outages(watcher, spool=True)
    outages.on_back = store.forward
    store.start()
    switch.mode = "down"
    await store.put([record(1)])
    await until(lambda: store._forwarder._pauses > 0)
    switch.mode = "up"
    outages.circuit_is("half_open")
    await asyncio.sleep(0.05)
    assert store.condition != "empty"
    outages.circuit_is("closed")
    await until_empty(store)
    await store.close()


async def test_room_is_given_back(tmp_path: Path) -> None:
    """A spool that was emptied gives back what it took, in one step."""
    path = tmp_path / "spool.db"
    spool = Spool.open(path)
    payload = b'"%b"' % (b"x" * 9000)
    last = await spool.append([record(number, payload=payload) for number in range(100)], ())
    await spool.settle(range(1, last + 1))
    assert not await spool.shrink()
    assert path.stat().st_size < 100_000
    await spool.close()


async def test_files(switch: Switch, store: SpooledStore, tmp_path: Path) -> None:
    """A spool's files are their owner's alone, what is no spool is refused, and a missing file is noticed."""
    switch.mode = "down"
    await store.put([record(1)])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("spool.db*")}  # noqa: ASYNC240
    names = [f"spool.db{ending}" for ending in ("", "-shm", "-wal", ".lock", ".reserve")]
    assert modes == dict.fromkeys(names, 0o600)
    with pytest.raises(StoreSchemaError):
        Spool.open(tmp_path / "remote.db")
    (tmp_path / "spool.db").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError, match="replaced"):
        await store.put([record(2)])
    os.replace(tmp_path / "elsewhere", tmp_path / "spool.db")  # noqa: PTH105 - as an operator would
    await store.put([record(2)])


async def test_an_empty_spool_gives_its_room_back(
    switch: Switch, store: SpooledStore, tmp_path: Path
) -> None:
    """After an outage the file is no larger than it needs to be."""
    switch.mode = "down"
    for number in range(1, 9):
        await store.put([record(number, payload=CanonicalJson(b'"' + b"x" * 100_000 + b'"'))])
    switch.mode = "up"
    store.start()
    await until_empty(store)
    with closing(sqlite3.connect(tmp_path / "spool.db")) as connection:
        await until(lambda: connection.execute("PRAGMA page_count").fetchone()[0] <= 50)
