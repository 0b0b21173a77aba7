"""Histories: whatever fails, an honest store's is whole; and whoever changes something is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import DuplicateRecordError, RecordCorruptError, StoreUnavailableError
from core.history.statements import check_entry, seal_entry
from core.idempotency import Claim
from core.records import Entry, Place, Record
from core.seals import Seals
from core.store.chained import ChainedStore
from core.store.sql_store import SqlStore
from tests.service.store.histories import SECRET, TroubledStore, check, database, sealed, seals, seeded

KEYS = seals()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "sigils.db"


async def written(path: Path, keys: Seals = KEYS, count: int = 6) -> list[Record]:
    """Records of tenant acme in one chain, the second revoked, as an orderly process leaves them."""
    store = ChainedStore(SqlStore.open(f"sqlite:///{path}"), keys)
    store.start()
    records = []
    for number in range(count):
        records.append(sealed(keys, number))
        await store.put([records[-1]])
    await store.revoke(
        "acme", records[1].id, reason="leaked", revoked_by="tester", now_ms=records[1].created_at_ms
    )
    await store.close()
    return records


async def test_an_honest_history(path: Path) -> None:
    """Nothing is found in what an orderly process leaves, and each step has its entry."""
    await written(path)
    found, checked = await check(path, KEYS)
    assert found == []
    assert (checked.records, checked.entries, checked.chains) == (6, 7, 1)


async def test_waiting_writes_share_a_batch(path: Path) -> None:
    """Many writes at once, of several tenants, come to few transactions, and each tenant has one chain."""
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
    assert puts <= 4
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


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_fails(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Several writers whose store fails, who are cancelled, or end: all histories are whole, nothing kept is lost."""
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


def stored(record_id: str) -> bytes:
    """An id as the database has it."""
    return bytes.fromhex(record_id.replace("-", ""))


async def kinds(path: Path, keys: Seals = KEYS, tenant: str = "acme") -> list[str]:
    """The kinds of what is found."""
    found, _ = await check(path, keys, tenant)
    return sorted({one.kind for one in found})


Tamper = Callable[[str], str]
#: What an operator does, and what the check calls it. Rows are of six records and seven entries.
TAMPERING = {
    "a record is deleted": ("DELETE FROM sigils WHERE row = 3", ["record_missing"]),
    "an entry is deleted": (
        "DELETE FROM sigil_history WHERE number = 3",
        ["entries_missing", "unlinked"],
    ),
    "a record and its entry are deleted": (
        "DELETE FROM sigil_history WHERE number = 3; DELETE FROM sigils WHERE row = 3",
        ["entries_missing"],
    ),
    "a deletion is closed up": (
        "DELETE FROM sigil_history WHERE number = 3; DELETE FROM sigils WHERE row = 3;"
        "UPDATE sigil_history SET number = 3 WHERE number = 4;UPDATE sigil_history SET number = 4 WHERE number = 5;"
        "UPDATE sigil_history SET number = 5 WHERE number = 6;UPDATE sigil_history SET number = 6 WHERE number = 7",
        ["entry_corrupt", "link_broken", "revocation_unlinked", "unlinked"],
    ),
    "the first are deleted": (
        "DELETE FROM sigil_history WHERE number <= 2; DELETE FROM sigils WHERE row <= 2",
        ["entries_missing", "record_missing"],
    ),
    "entries change places": (
        "UPDATE sigil_history SET number = 99 WHERE number = 3; UPDATE sigil_history SET number = 3 WHERE number = 4;"
        "UPDATE sigil_history SET number = 4 WHERE number = 99",
        ["entry_corrupt", "link_broken", "unlinked"],
    ),
    "payloads change places": (
        "UPDATE sigils SET payload = CAST('{\"number\":' || (5 - row) || '}' AS BLOB) WHERE row IN (2, 3)",
        ["record_corrupt"],
    ),
    "somebody else asked for it": ("UPDATE sigils SET created_by = 'x' WHERE row = 3", ["record_altered"]),
    "it was at another time": (
        "UPDATE sigils SET created_at_ms = created_at_ms + 1 WHERE row = 3",
        ["record_altered"],
    ),
    "a payload is changed": (
        "UPDATE sigils SET payload = CAST('{\"number\":99}' AS BLOB) WHERE row = 3",
        ["record_corrupt"],
    ),
    "a revocation is taken back": (
        "UPDATE sigils SET revoked_at_ms = NULL, revoked_by = NULL, revoked_reason = NULL",
        ["revocation_missing"],
    ),
    "a revocation is taken back, with its entry": (
        "UPDATE sigils SET revoked_at_ms = NULL; UPDATE sigil_history SET step = 'sealed' WHERE number = 7",
        ["entry_corrupt"],
    ),
    "a revocation gets another reason": (
        "UPDATE sigils SET revoked_reason = 'mistake' WHERE row = 2",
        ["revocation_altered"],
    ),
    "a revocation is made up": (
        "UPDATE sigils SET revoked_at_ms = created_at_ms + 1000, revoked_by = 'x', revoked_reason = 'y' WHERE row = 3",
        ["revocation_unlinked"],
    ),
    "an entry claims another record": (
        "UPDATE sigil_history SET record_id = zeroblob(16) WHERE number = 3",
        ["entry_corrupt", "unlinked"],
    ),
    "a purge is made up": (
        "UPDATE sigil_history SET step = 'purged', record_id = x'ff00000000000000000000000000000f' WHERE number = 7;"
        "DELETE FROM sigils WHERE row = 3",
        ["entry_corrupt", "record_missing", "revocation_unlinked"],
    ),
    "a record moves to another tenant": (
        "UPDATE sigils SET tenant = 'other' WHERE row = 3",
        ["record_missing"],
    ),
    "the columns are not ours": (
        "UPDATE sigils SET key_id = 'x' WHERE row = 3; UPDATE sigil_history SET at_ms = 'y' WHERE number = 5",
        ["entries_missing", "entry_corrupt", "record_corrupt", "unlinked"],
    ),
    "the end is cut off": (
        "DELETE FROM sigil_history WHERE number > 5; DELETE FROM sigils WHERE row > 5;"
        "UPDATE sigils SET revoked_at_ms = NULL, revoked_by = NULL, revoked_reason = NULL",
        [],  # The audit log knows; see test_store_commands.
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
async def test_tampering_is_named(path: Path, name: str) -> None:
    """Each way to change the database behind the service's back is found, and called what it is."""
    statements, expected = TAMPERING[name]
    records = await written(path)
    with database(path) as connection:
        connection.executescript(statements)
    found, _ = await check(path, KEYS)
    assert sorted({one.kind for one in found}) == expected
    if "row = 3" in statements and "DELETE FROM sigil_history" not in statements:
        assert records[2].id in {one.record_id for one in found}
