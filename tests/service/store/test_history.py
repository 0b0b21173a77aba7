"""Histories: whatever fails, an honest store's is whole; and whoever changes something is found."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import DuplicateRecordError, StoreUnavailableError
from core.history.check import TenantCheck
from core.history.findings import NOTICES, Finding, Findings
from core.idempotency import Claim
from core.records import Entry, Record
from core.store.chained import ChainedStore
from core.store.sql_store import SqlStore
from tests.heavy import HEAVY
from tests.service.store.histories import (
    KEYS,
    TroubledStore,
    check,
    database,
    kinds,
    sealed,
    seals,
    seeded,
    stored,
    written,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "sigils.db"


async def test_an_honest_history(path: Path) -> None:
    """Nothing is found in what an orderly process leaves, and each step has its entry."""
    await written(path)
    found, checked = await check(path, KEYS)
    assert found == []
    assert (checked.records, checked.entries, checked.chains) == (6, 7, 1)


async def test_waiting_writes_share_a_batch(path: Path) -> None:
    """Many writes at once come to few, for each of several tenants, and each tenant has one chain."""
    inner = SqlStore.open(f"sqlite:///{path}")
    puts = 0

    def counted() -> str:
        nonlocal puts
        puts += 1
        return "fine"

    inner.start()
    store = ChainedStore(TroubledStore(inner, counted), KEYS)
    records = [sealed(KEYS, number, tenant=f"t{number % 3}") for number in range(300)]
    await asyncio.gather(*(store.put([record]) for record in records))
    await store.close()
    await inner.close()
    assert puts <= 3 * 2
    for tenant in ("t0", "t1", "t2"):
        found, checked = await check(path, KEYS, tenant)
        assert (found, checked.entries, checked.chains) == ([], 100, 1)


async def test_a_failing_write_fails_alone(path: Path) -> None:
    """Of writes that share a batch one is refused; the others are kept, and no chain has a gap."""
    inner = SqlStore.open(f"sqlite:///{path}")
    store = ChainedStore(inner, KEYS)
    store.start()
    records = [sealed(KEYS, number) for number in range(9)]
    taken = sealed(KEYS, 99)
    await store.put([taken])
    other = msgspec.structs.replace(taken, created_by="somebody else")
    writes = [store.put([one]) for one in (*records[:4], other, *records[4:])]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [DuplicateRecordError]
    await store.close()
    found, checked = await check(path, KEYS)
    assert (found, checked.records) == ([], 10)


async def test_a_forbidden_tenant_suffers_alone(path: Path) -> None:
    """Where a store refuses one tenant's writes, those of others in the same batch are kept."""
    inner = SqlStore.open(f"sqlite:///{path}")
    inner.start()

    class Choosy(TroubledStore):
        async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
            if any(record.tenant == "other" for record in records):
                raise StoreUnavailableError("forbidden")
            await super().put(records, entries)

    store = ChainedStore(Choosy(inner, lambda: "fine"), KEYS)
    records = [sealed(KEYS, number, tenant="other" if number == 3 else "acme") for number in range(8)]
    results = await asyncio.gather(*(store.put([one]) for one in records), return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [3]
    await store.close()
    await inner.close()
    found, checked = await check(path, KEYS)
    assert (found, checked.records) == ([], 7)


async def test_an_earlier_record_gets_no_second_entry(path: Path) -> None:
    """A replay is not entered again; what could not be entered is, when the caller asks again."""
    inner = SqlStore.open(f"sqlite:///{path}")
    inner.start()
    choices = iter(["fine", "before", "fine", "fine", "fine"])
    store = ChainedStore(TroubledStore(inner, lambda: next(choices)), KEYS)
    claim = Claim(bytes(32), bytes(32))
    first = sealed(KEYS, 1)
    with pytest.raises(StoreUnavailableError):
        await store.put_once(first, claim)
    for _ in range(2):
        kept = await store.put_once(sealed(KEYS, 1), claim)
        assert kept.id == first.id
    await store.close()
    await inner.close()
    found, checked = await check(path, KEYS)
    assert (found, checked.records, checked.entries) == ([], 1, 1)


async def test_forgotten_tenants_begin_again(path: Path) -> None:
    """Memory for heads is bounded: a tenant that is forgotten has several chains, all whole."""
    store = ChainedStore(SqlStore.open(f"sqlite:///{path}"), KEYS, most_tenants=2)
    store.start()
    for number in range(12):
        await store.put([sealed(KEYS, number, tenant=f"t{number % 4}")])
    await store.close()
    found, checked = await check(path, KEYS, "t0")
    assert (found, checked.entries, checked.chains) == ([], 3, 3)


async def test_a_chain_that_follows_another(path: Path) -> None:
    """Where nobody knows what was kept a chain ends; the next says what it follows, which must be there."""
    inner = SqlStore.open(f"sqlite:///{path}")
    inner.start()
    choices = iter(["fine", "after", "fine", "before", "fine"])
    store = ChainedStore(TroubledStore(inner, lambda: next(choices)), KEYS)
    for number in range(5):
        with contextlib.suppress(StoreUnavailableError):
            await store.put([sealed(KEYS, number)])
    await store.close()
    await inner.close()
    found, checked = await check(path, KEYS)
    assert (found, checked.records, checked.entries, checked.chains) == ([], 4, 4, 3)
    with database(path) as connection:
        connection.executescript(
            "DELETE FROM sigils WHERE row <= 2; DELETE FROM sigil_history WHERE chain ="
            " (SELECT chain FROM sigil_history WHERE number = 2)"
        )
    assert await kinds(path) == ["origin_missing"]


async def test_purged_records_are_not_missing(path: Path) -> None:
    """What a purge took is explained by its entry, in whichever chain; what is newer is not."""
    records = await written(path)
    store = ChainedStore(SqlStore.open(f"sqlite:///{path}"), KEYS)
    store.start()
    assert await store.purge("acme", before=records[3].id, limit=2) == 2
    assert await store.purge("acme", before=records[3].id, limit=2) == 1
    await store.close()
    found, checked = await check(path, KEYS)
    assert (found, checked.records, checked.purged, checked.entries) == ([], 3, 3, 8)
    with database(path) as connection:
        connection.execute("DELETE FROM sigils WHERE id = ?", (stored(records[4].id),))
    assert await kinds(path) == ["record_missing"]


@settings(
    max_examples=300 if HEAVY else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_whatever_fails(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Writers whose store fails, who are cancelled, or end: histories are whole, nothing kept is lost."""
    path = tmp_path_factory.mktemp("history") / "sigils.db"
    asyncio.run(_troubled_writers(path, data.draw(st.integers(0, 1 << 32))))


async def _troubled_writers(path: Path, seed: int) -> None:
    chance = seeded(seed)
    keys = seals()
    acknowledged: dict[str, Record] = {}
    revoked: set[str] = set()
    inner = SqlStore.open(f"sqlite:///{path}")
    inner.start()

    def choose() -> str:
        return chance.choices(["fine", "before", "after", "hang"], [80, 8, 8, 4])[0]

    async def work(writer: int, store: ChainedStore) -> None:
        mine: list[Record] = []
        for turn in range(chance.randrange(3, 12)):
            record = sealed(keys, 1000 * writer + turn)
            try:
                match chance.randrange(4):
                    case 0:
                        key = chance.randrange(4)
                        claim = Claim(bytes([key]) * 32, bytes(32))
                        kept = await store.put_once(sealed(keys, key), claim)
                        acknowledged[kept.id] = kept
                    case 1 if mine:
                        chosen = chance.choice(mine).id
                        await store.revoke(
                            "acme", chosen, reason="r", revoked_by="w", now_ms=record.created_at_ms
                        )
                        revoked.add(chosen)
                    case _:
                        await store.put([record])
                        acknowledged[record.id] = record
                        mine.append(record)
            except StoreUnavailableError:
                continue

    for _round in range(3):
        stores = [ChainedStore(TroubledStore(inner, choose), keys) for _ in range(2)]
        tasks = [asyncio.create_task(work(number, store)) for number in range(4) for store in stores]
        await asyncio.wait(tasks, timeout=0.05)
        for task in tasks:  # Some wait for what never comes.
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for store in stores:  # The process ends.
            if store._lane._task is not None:
                store._lane._task.cancel()
                await asyncio.wait([store._lane._task])
    await inner.close()
    found, checked = await check(path, keys)
    assert [one for one in found if one.kind not in {"unlinked", "revocation_unlinked"}] == []
    assert checked.records >= len(acknowledged)
    # Who was answered has an entry.
    unlinked = {(one.kind, one.record_id) for one in found}
    assert not {("unlinked", record_id) for record_id in acknowledged} & unlinked
    assert not {("revocation_unlinked", record_id) for record_id in revoked} & unlinked


async def test_checked_while_it_grows(path: Path) -> None:
    """A check of a store that is written, revoked and purged meanwhile finds nothing."""
    inner = SqlStore.open(f"sqlite:///{path}")
    inner.start()
    store = ChainedStore(inner, KEYS)
    going = True

    async def write(writer: int) -> None:
        turn = 0
        while going:
            turn += 1
            record = sealed(KEYS, 10_000 * writer + turn)
            await store.put([record])
            if turn % 3 == 0:
                await store.revoke("acme", record.id, reason="r", revoked_by="w", now_ms=record.created_at_ms)
            if turn % 10 == 0 and writer == 0:
                await store.purge("acme", before=record.id, limit=3)

    tasks = [asyncio.create_task(write(number)) for number in range(4)]
    try:
        for _ in range(10 if HEAVY else 3):
            found: list[Finding] = []
            findings = Findings(found.append)
            await TenantCheck(inner, KEYS, "acme", findings, lambda *_: None, settling=0).run()
            # What is on its way at this moment may still want its entry.
            assert [one for one in found if one.kind not in NOTICES] == []
            await asyncio.sleep(0.05)
    finally:
        going = False
        await asyncio.gather(*tasks)
        await store.close()
    found, _checked = await check(path, KEYS)
    assert found == []
