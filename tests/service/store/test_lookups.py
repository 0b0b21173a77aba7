"""Records that are looked up together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core import gathering
from core.errors import RecordCorruptError, StoreUnavailableError
from core.records import Record
from core.store.observed import ObservedPromptStore, observed_store
from core.store.sql_store import SqlStore
from tests.service.store.laters import outcome_of
from tests.service.store.store_records import record, record_id


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    """A store with five records of each of two tenants."""
    store = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    for tenant in ("acme", "globex"):
        await store.put([record(number, tenant=tenant) for number in range(5)])
    yield store
    await store.close()


def watched(store: SqlStore) -> list[tuple[Any, ...]]:
    """The values of the statements that readers execute from now on."""
    seen: list[tuple[Any, ...]] = []

    def execute(_: Any, cursor: Any, sql: str, values: Any, context: Any, many: bool) -> None:
        seen.append(values)

    sa.event.listen(store._database.reading, "before_cursor_execute", execute)
    return seen


async def test_what_is_asked_together(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each caller gets what it asked for, by a task or without; a statement for each tenant is enough."""
    monkeypatch.setattr(gathering, "_PATIENCE", 60)  # one turn of a busy machine's loop may exceed it
    seen = watched(store)
    laters = [
        store.find_soon(tenant, [record_id(number), record_id(number + 1)])
        for number in range(5)
        for tenant in ("acme", "globex")
    ]
    one = store.get("globex", record_id(3), with_payload=False)
    many = store.get_many("acme", [record_id(0), record_id(9), "nonsense"])
    alone, some, *found = await asyncio.gather(one, many, *map(outcome_of, laters))
    assert isinstance(alone, Record)
    assert (alone.tenant, alone.id, alone.payload) == ("globex", record_id(3), None)
    assert some.keys() == {record_id(0)}
    for place, records in enumerate(found):
        assert records.keys() == {record_id(n) for n in (place // 2, place // 2 + 1) if n < 5}
        assert {one.tenant for one in records.values()} == {("acme", "globex")[place % 2]}
    assert sorted(values[0] for values in seen) == ["acme", "globex"]


async def test_more_than_one_statement_takes(store: SqlStore) -> None:
    """Who asks for very many, or asks among very many, gets all."""
    await store.put([record(number, tenant="acme") for number in range(5, 260)])
    all_ids = [record_id(number) for number in range(300)]
    everything = asyncio.create_task(store.get_many("acme", all_ids))
    single = await asyncio.gather(*(store.get("acme", one, with_payload=False) for one in all_ids))
    assert set(await everything) == set(all_ids[:260])
    assert [None if one is None else one.id for one in single] == [*all_ids[:260], *[None] * 40]


class Told:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def read(self, operation: str, seconds: float) -> None:
        """See StorageObserver."""
        assert 0 <= seconds < 60
        self.calls.append(operation)

    def wrote(self, operation: str, seconds: float) -> None:
        """See StorageObserver."""

    def committed(self, writes: int) -> None:
        """See StorageObserver."""

    def failed(self, reason: str) -> None:
        """See StorageObserver."""
        self.calls.append(reason)

    def works(self) -> None:
        """See StorageObserver."""
        self.calls.append("works")


async def test_what_observers_are_told(store: SqlStore, tmp_path: Path) -> None:
    """A lookup counts as the call that it stands for, and as what it came to."""
    told = Told()
    observed = observed_store(store, told)
    assert isinstance(observed, ObservedPromptStore)
    await outcome_of(observed.find_soon("acme", [record_id(1)]))
    await outcome_of(observed.find_soon("acme", [record_id(1), record_id(2)]))
    (tmp_path / "sigils.db").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError):
        await outcome_of(observed.find_soon("acme", [record_id(1)]))
    assert told.calls == ["get", "works", "get_many", "works", "get", "replaced"]


async def test_a_damaged_record(store: SqlStore, tmp_path: Path) -> None:
    """It fails those who asked for it, and nobody else."""
    database = sa.create_engine(f"sqlite:///{tmp_path / 'sigils.db'}")
    with database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sigils SET key_id = 'x' WHERE tenant = 'acme' AND issued_at_ms = 2"
        )
    database.dispose()
    results = await asyncio.gather(
        *(store.get("acme", record_id(number), with_payload=False) for number in (1, 2, 2, 3)),
        return_exceptions=True,
    )
    assert [type(one) for one in results] == [Record, RecordCorruptError, RecordCorruptError, Record]


async def test_a_caller_who_leaves(store: SqlStore) -> None:
    """It takes nothing from the others."""
    asked = [asyncio.create_task(store.get("acme", record_id(1), with_payload=False)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[1].cancel()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in results] == [Record, asyncio.CancelledError, Record]


async def test_a_file_that_was_taken_away(store: SqlStore, tmp_path: Path) -> None:
    """All who asked are told, each with an error of its own."""
    (tmp_path / "sigils.db").rename(tmp_path / "elsewhere")
    asked = [store.get("acme", record_id(1), with_payload=False) for _ in range(2)]
    first, second = await asyncio.gather(*asked, return_exceptions=True)
    for error in (first, second):
        assert isinstance(error, StoreUnavailableError)
        assert error.reason == "replaced"
    assert first is not second


async def test_a_slow_reader(store: SqlStore) -> None:
    """Who asks while a statement takes its time is answered by another thread."""
    going, gone = threading.Event(), threading.Event()

    def hold(connection: Any, *_: Any) -> None:
        if not going.is_set():
            going.set()
            gone.wait(30)

    sa.event.listen(store._database.reading, "before_cursor_execute", hold)
    slow = asyncio.create_task(store.get("acme", record_id(1), with_payload=False))
    await asyncio.to_thread(going.wait, 30)
    quick = await asyncio.wait_for(store.get("acme", record_id(2), with_payload=False), 30)
    assert quick is not None
    assert not slow.done()
    gone.set()
    assert (await slow) is not None


async def test_readers_that_all_hang(store: SqlStore) -> None:
    """What waits is looked up when they go on, however long that takes; all of them have helped."""
    gone, at_work = threading.Event(), 0

    def hold(*_: Any) -> None:
        nonlocal at_work
        at_work += 1
        gone.wait(30)

    sa.event.listen(store._database.reading, "before_cursor_execute", hold)
    asked = []
    for _ in range(10):
        asked.append(asyncio.create_task(store.get("acme", record_id(1), with_payload=False)))
        await asyncio.sleep(0.02)
    async with asyncio.timeout(30):
        while at_work < 4:
            asked.append(asyncio.create_task(store.get("acme", record_id(1), with_payload=False)))
            await asyncio.sleep(0.02)
    assert store._lookups._at_work == at_work == 4
    assert not any(one.done() for one in asked)
    gone.set()
    assert all(await asyncio.gather(*asked))


async def test_several_loops(store: SqlStore) -> None:
    """Loops of other threads are served as well, also while one gathers."""

    async def ask() -> set[str]:
        found = await asyncio.gather(
            *(store.get("globex", record_id(number), with_payload=False) for number in range(5))
        )
        return {one.id for one in found if one is not None}

    def other_loop() -> list[set[str]]:
        return [asyncio.run(ask()) for _ in range(20)]

    others = [asyncio.create_task(asyncio.to_thread(other_loop)) for _ in range(2)]
    own = [await ask() for _ in range(20)]
    wanted = {record_id(number) for number in range(5)}
    for found in (own, *[await other for other in others]):
        assert all(one == wanted for one in found)


async def test_a_store_that_is_closed(store: SqlStore) -> None:
    """What was asked before is answered or told; what comes later is refused."""
    early = asyncio.gather(
        *(store.get("acme", record_id(1), with_payload=False) for _ in range(3)), return_exceptions=True
    )
    await asyncio.sleep(0)
    await store.close()
    for one in await early:
        assert isinstance(one, Record | StoreUnavailableError)
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.find_soon("acme", [record_id(1)])
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.get_many("acme", [record_id(1)])
