"""What each call does while the store is away, and that all of it arrives afterwards."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from app.outages import Outages
from core.errors import (
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    RecordCorruptError,
    StoreOverloadedError,
    StorePartlyUnavailableError,
    StoreSchemaError,
    StoreUnavailableError,
)
from core.idempotency import Claim
from core.records import CanonicalJson, Entry, Record, id_of
from core.spool.forwarder import Pace
from core.spool.spool import Spool
from core.spool.spooled_store import SpooledStore
from core.spool.writes import Bounds
from tests.service.spool.switch import Switch, Watcher, spooled, sql_store, until, until_empty
from tests.service.store.store_records import record, record_id

CLAIM = Claim(b"k" * 32, b"r" * 32)


@pytest.fixture
async def switch(tmp_path: Path) -> AsyncIterator[Switch]:
    """A store that may be away."""
    switch = Switch(sql_store(tmp_path))
    yield switch
    await switch.store.close()


@pytest.fixture
async def store(switch: Switch, tmp_path: Path) -> AsyncIterator[SpooledStore]:
    """What a worker has; nothing is forwarded until it is started."""
    store = spooled(switch, tmp_path, watcher=Watcher())
    yield store
    await store.close()


def listed(one: Record, **changes: object) -> Record:
    """A record as listings have it."""
    return msgspec.structs.replace(one, payload=None, **changes)


async def ids(store: SpooledStore, **more: object) -> list[str]:
    """What a listing shows."""
    asked = {"limit": 100, "before": None, "status": None, "now_ms": 0} | more
    return [id_of(one) for one in (await store.list("acme", **asked)).records]  # type: ignore[arg-type]


async def test_what_is_put_while_the_store_is_away(switch: Switch, store: SpooledStore) -> None:
    """It is acknowledged, found here, marked stale, and forwarded in order when the store is back."""
    await store.put([record(1)])
    switch.mode = "down"
    for number in (2, 3, 4):
        await store.put([record(number, payload=b'{"n":%d}' % number)])
    assert store.condition == "waiting"
    found = await store.get("acme", record_id(3))
    assert found == msgspec.structs.replace(record(3, payload=b'{"n":3}'), stale=True)
    listing = await store.list("acme", limit=10, before=None, status=None, now_ms=0)
    assert listing.stale
    assert [id_of(one) for one in listing.records] == [record_id(number) for number in (4, 3, 2)]
    with pytest.raises(StoreUnavailableError):
        await store.get("acme", record_id(1))
    with pytest.raises(StoreUnavailableError):
        await store.get("globex", record_id(3))
    switch.mode = "up"
    assert await ids(store) == [record_id(number) for number in (4, 3, 2, 1)]
    store.start()
    await until_empty(store)
    assert [effect[2] for effect in switch.effects] == [record_id(number) for number in (1, 2, 3, 4)]
    assert await switch.store.get("acme", record_id(3)) == record(3, payload=b'{"n":3}')


async def test_new_writes_go_behind_those_that_wait(switch: Switch, store: SpooledStore) -> None:
    """A put does not overtake what waits, though the store is back."""
    switch.mode = "down"
    await store.put([record(1)])
    switch.mode = "up"
    await store.put([record(2)])
    assert await switch.store.count() == {}
    store.start()
    await until_empty(store)
    await store.put([record(3)])
    assert [effect[2] for effect in switch.effects] == [record_id(number) for number in (1, 2, 3)]


async def test_under_load_the_spool_becomes_empty(switch: Switch, store: SpooledStore) -> None:
    """Writers that never pause do not keep the spool in use for ever."""
    switch.mode = "down"
    await store.put([record(0)])
    store.start()
    stopping = asyncio.Event()
    numbers = iter(range(1, 1 << 30))

    async def write() -> None:
        while not stopping.is_set():
            await store.put([record(next(numbers))])

    writers = [asyncio.create_task(write()) for _ in range(8)]
    await asyncio.sleep(0.05)
    switch.mode = "up"
    try:
        await until_empty(store)
        switch.effects.clear()
        await until(lambda: len(switch.effects) >= 20)
        assert store.condition == "empty"
    finally:
        stopping.set()
        await asyncio.gather(*writers)


async def test_a_lost_answer(switch: Switch, store: SpooledStore) -> None:
    """A write that has taken effect unseen is in the spool, too, and changes nothing when it is forwarded."""
    switch.mode = "lost"
    await store.put([record(1)])
    assert await store.put_once(record(2), CLAIM) == record(2)
    switch.mode = "up"
    assert await ids(store) == [record_id(2), record_id(1)]
    await switch.store.revoke("acme", record_id(1), reason="x", revoked_by="other", now_ms=5)
    found = await store.get("acme", record_id(1))
    assert found is not None
    assert (found.revoked_by, found.stale) == ("other", False)
    store.start()
    await until_empty(store)
    assert await switch.store.count() == {"acme": 2}
    found = await store.get("acme", record_id(1))
    assert found is not None
    assert found.revoked_by == "other"


async def test_what_is_no_outage(
    switch: Switch, store: SpooledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that admits no more, or refuses this service, is there: its errors are passed on."""
    switch.mode, switch.reason = "down", "forbidden"
    with pytest.raises(StoreUnavailableError, match="forbidden"):
        await store.put([record(1)])

    async def overloaded(*_: object) -> None:
        raise StoreOverloadedError

    monkeypatch.setattr(switch, "put", overloaded)
    with pytest.raises(StoreOverloadedError):
        await store.put([record(1)])
    assert store.condition == "empty"


async def test_the_same_put_again(switch: Switch, store: SpooledStore) -> None:
    """A write that waits may be made again; another with its id may not, and leaves nothing."""
    switch.mode = "down"
    await store.put([record(1)])
    await store.put([record(1)])
    with pytest.raises(DuplicateRecordError):
        await store.put([record(2), record(1, payload=b"[]")])
    with pytest.raises(StoreUnavailableError):
        await store.get("acme", record_id(2))
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert store.rejected == 0
    assert await switch.store.count() == {"acme": 1}


async def test_idempotency_keys_while_away(switch: Switch, store: SpooledStore) -> None:
    """A key gives its record again, or is refused for another request; afterwards the store knows it."""
    switch.mode = "down"
    assert await store.put_once(record(1), CLAIM) == record(1)
    assert await store.put_once(record(2), CLAIM) == listed(record(1), stale=True)
    with pytest.raises(IdempotencyKeyReusedError):
        await store.put_once(record(2), Claim(CLAIM.key_digest, b"x" * 32))
    switch.mode = "up"
    assert await store.put_once(record(2), CLAIM) == listed(record(1))
    store.start()
    await until_empty(store)
    assert await store.put_once(record(3), CLAIM) == listed(record(1))
    assert await switch.store.count() == {"acme": 1}


async def test_an_entry_is_forwarded_behind_its_record(switch: Switch, store: SpooledStore) -> None:
    """What a history claims is there already: the entry of a record with a key never comes before it."""
    switch.mode = "down"
    await store.put_once(record(1), CLAIM)
    entry = Entry("acme", "c" * 32, 1, "sealed", record_id(1), 1, "", "seal")
    await store.put([], [entry])
    put_once = switch.store.put_once

    async def slowly(one: Record, claim: Claim) -> Record:
        await asyncio.sleep(0.05)
        assert await switch.store.entries("acme", after=None, limit=1) == []
        return await put_once(one, claim)

    switch.store.put_once = slowly  # type: ignore[assignment, method-assign]
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert await switch.store.entries("acme", after=None, limit=1) == [entry]
    assert store.rejected == 0


async def test_keys_are_forwarded_together(switch: Switch, store: SpooledStore, tmp_path: Path) -> None:
    """Records with keys that follow one another go at once; what builds on one of them goes behind it."""
    switch.mode = "down"
    for number in range(1, 21):
        await store.put_once(record(number), Claim(b"%032d" % number, b"r" * 32))
    await store.revoke("acme", record_id(20), reason="r", revoked_by="ann", now_ms=7)
    await store.put_once(record(21), Claim(b"%032d" % 21, b"r" * 32))
    under_way: list[int] = []
    most = 0
    put_once = switch.store.put_once

    async def counted(one: Record, claim: Claim) -> Record:
        nonlocal most
        under_way.append(1)
        most = max(most, len(under_way))
        try:
            return await put_once(one, claim)
        finally:
            under_way.pop()

    switch.store.put_once = counted  # type: ignore[assignment, method-assign]
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert most == 20
    words = [(word, one) for word, _, one in switch.effects]
    assert sorted(words[:20]) == [("put", record_id(number)) for number in range(1, 21)]
    assert words[20:] == [("revoke", record_id(20)), ("put", record_id(21))]


@pytest.mark.parametrize("digest", [b"r" * 32, b"x" * 32], ids=["same request", "another request"])
async def test_a_key_that_was_used_before_the_outage(switch: Switch, tmp_path: Path, digest: bytes) -> None:
    """A record that was acknowledged is kept without the key, and counted."""
    store = spooled(switch, tmp_path, watcher=(watcher := Watcher()))
    await store.put_once(record(1), CLAIM)
    switch.mode = "down"
    await store.put_once(record(2), Claim(CLAIM.key_digest, digest))
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert await ids(store) == [record_id(2), record_id(1)]
    assert watcher.outcomes == ["without_key"]
    await store.close()


async def test_revocations_while_away(switch: Switch, store: SpooledStore) -> None:
    """What waits here can be revoked, the first reason stays, and it arrives behind its record."""
    await store.put([record(1)])
    switch.mode = "down"
    await store.put([record(2)])
    with pytest.raises(StoreUnavailableError):
        await store.revoke("acme", record_id(1), reason="a", revoked_by="me", now_ms=7)
    revoked = await store.revoke("acme", record_id(2), reason="a", revoked_by="me", now_ms=7)
    expected = listed(record(2), revoked_at_ms=7, revoked_by="me", revoked_reason="a", stale=True)
    assert revoked == expected
    assert await store.revoke("acme", record_id(2), reason="b", revoked_by="you", now_ms=8) == expected
    assert await ids(store, status="revoked") == [record_id(2)]
    assert await ids(store, status="active") == []
    switch.mode = "up"
    assert await ids(store, status="revoked") == [record_id(2)]
    assert await ids(store, status="active") == [record_id(1)]
    store.start()
    await until_empty(store)
    assert switch.effects[-2:] == [("put", "acme", record_id(2)), ("revoke", "acme", record_id(2))]
    assert await store.get("acme", record_id(2), with_payload=False) == listed(expected, stale=False)


async def test_a_revocation_of_what_the_store_has_already(switch: Switch, store: SpooledStore) -> None:
    """A record whose answer was lost waits here, and is revoked there: the next outage does not undo that."""
    switch.mode = "lost"
    await store.put([record(1)])
    switch.mode = "up"
    revoked = await store.revoke("acme", record_id(1), reason="r", revoked_by="ann", now_ms=7)
    switch.mode = "down"
    found = await store.get("acme", record_id(1), with_payload=False)
    assert revoked is not None
    assert found == msgspec.structs.replace(revoked, stale=True)
    assert found.revoked_reason == "r"
    assert (await store.get_many("acme", [record_id(1)]))[record_id(1)] == found
    assert await ids(store, status="active") == []
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert await store.get("acme", record_id(1), with_payload=False) == revoked


async def test_looking_up_many_while_away(switch: Switch, store: SpooledStore) -> None:
    """What waits here is known, and the error says so; without a doubt left there is no error."""
    switch.mode = "down"
    await store.put([record(1)])
    assert await store.get_many("acme", [record_id(1)]) == {record_id(1): listed(record(1), stale=True)}
    with pytest.raises(StorePartlyUnavailableError) as caught:
        await store.get_many("acme", [record_id(1), record_id(2)])
    assert caught.value.known == {record_id(1): listed(record(1), stale=True)}
    switch.mode = "up"
    assert await store.get_many("acme", [record_id(1), record_id(2)]) == {record_id(1): listed(record(1))}


async def test_several_tenants_in_one_put(switch: Switch, store: SpooledStore) -> None:
    """Each has its part, and histories go with their records."""
    entry = Entry("globex", "c" * 32, 1, "sealed", record_id(2), 5, "", "seal")
    switch.mode = "down"
    await store.put([record(1), record(2, tenant="globex")], [entry])
    switch.mode = "up"
    store.start()
    await until_empty(store)
    assert await switch.store.count() == {"acme": 1, "globex": 1}
    assert await store.entries("globex", after=None, limit=5) == [entry]


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
    await until(lambda: len(watcher.spools) > 3)
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
