"""What every store owes its callers, whatever it keeps its records in: see core/store/interface.py.

A test module that has the fixtures ``opener`` and ``store`` imports these classes, and those of
contract_of_writes.py: pytest runs them there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from core.errors import (
    DuplicateRecordError,
    InvalidRecordError,
    StoreUnavailableError,
)
from core.idempotency import Claim, Claimant, claim_of
from core.records import Damage, Entry, Place, Record, id_of
from core.store.interface import Store
from tests.service.store.implementations import Opener
from tests.service.store.operators import Operator
from tests.service.store.store_records import entry, record, record_id, records_of

#: Text that a careless database would mangle, cut, or take for its own.
TENANTS = ["acme", "Acme", "acme ", "a\u00e9\U0001f600", "x'; --", "%s", "?", "\\", "\ttab"]


def claim(key: str, *, request: int = 0) -> Claim:
    """A claim to a key for one of several requests."""
    return claim_of(Claimant("i", "me"), key, canonical_sha256=bytes([request] * 32), expires_in=None)


def listed(kept: Record) -> Record:
    """As a listing shows it."""
    return msgspec.structs.replace(kept, payload=None)


async def numbers(store: Store, **options: Any) -> list[int]:
    """Numbers of the records that a listing shows."""
    chosen = {"limit": 100, "before": None, "status": None, "now_ms": 0, **options}
    return [shown.issued_at_ms for shown in records_of(await store.list("acme", **chosen))]


async def walk(store: Store, limit: int, **options: Any) -> list[int]:
    """The same over all pages."""
    walked: list[int] = []
    before = None
    while page := await numbers(store, limit=limit, before=before, **options):
        walked += page
        before = record_id(page[-1])
    return walked


async def all_entries(store: Store, tenant: str = "acme", limit: int = 1000) -> list[Entry]:
    """A tenant's history, page by page."""
    found: list[Entry] = []
    after = None
    while page := await store.entries(tenant, after=after, limit=limit):
        assert len(page) <= limit
        found += page
        after = Place(page[-1].chain, page[-1].number)
    return found


async def failures(*work: Any) -> list[type[BaseException] | None]:
    """What calls at the same time came to."""
    results = await asyncio.gather(*work, return_exceptions=True)
    return [type(result) if isinstance(result, BaseException) else None for result in results]


class TestRecords:
    """Putting and getting."""

    async def test_a_record_comes_back_as_it_went(self, store: Store) -> None:
        """Every field survives, to the byte; payloads are left out where they are not asked for."""
        payload = b'{"a":"\xe2\x82\xac","big":12345678901234567890,"n":[1e+30,-0.5]}'
        kept = record(1, payload=payload, expires_at_ms=2**63 - 1)
        await store.put([kept])
        assert await store.get("acme", kept.id) == kept
        assert await store.get("acme", kept.id, with_payload=False) == listed(kept)

    async def test_what_is_not_there(self, store: Store) -> None:
        """Nothing is found under ids that nobody has, nor under what is no id."""
        await store.put([record(1)])
        for unknown in (record_id(2), record_id(1)[:-1] + "1"):
            assert await store.get("acme", unknown) is None
            assert await store.get_many("acme", [unknown]) == {}

    async def test_acknowledged_means_kept(self, opener: Opener) -> None:
        """What was acknowledged is there for whoever opens the same place, now and later."""
        async with opener() as store, opener() as other:
            await store.put([record(1)], [entry(1)])
            await store.put_once(record(2), claim("k"))
            await store.revoke("acme", record_id(1), reason="r", revoked_by="y", now_ms=7)
            for one in (store, other):
                assert await numbers(one) == [2, 1]
                revoked = await one.get("acme", record_id(1))
                assert revoked is not None
                assert revoked.revoked_reason == "r"
        async with opener() as again:
            assert await again.get("acme", record_id(1)) == revoked
            assert await all_entries(again) == [entry(1)]
            assert (await again.put_once(record(3), claim("k"))).id == record_id(2)

    async def test_own_writes_are_read(self, store: Store) -> None:
        """Whoever begins after a call has returned sees what it did, in every way to look."""

        async def one(number: int) -> None:
            await store.put([record(number)])
            assert await store.get("acme", record_id(number)) == record(number)
            assert number in await numbers(store)
            await store.revoke("acme", record_id(number), reason="r", revoked_by="y", now_ms=1)
            found = await store.get_many("acme", [record_id(number)])
            assert found[record_id(number)].revoked_reason == "r"  # type: ignore[union-attr]

        await asyncio.gather(*(one(number) for number in range(20)))

    async def test_all_or_none(self, store: Store) -> None:
        """Among others, a put that fails keeps nothing of its own and harms nobody else's."""
        await store.put([record(5)], [entry(5)])
        other = record(5, payload=b"[]")
        puts: list[tuple[Sequence[Record], Sequence[Entry]]] = [
            ([record(1)], [entry(1)]),
            ([other], []),
            ([record(2), record(3)], []),
            ([record(4, expires_at_ms=1 << 70)], []),
            ([record(6), other], [entry(6)]),
            ([record(7)], [msgspec.structs.replace(entry(5), seal="another")]),
            ([record(8)], []),
            ([msgspec.structs.replace(record(9), id="no-id")], []),
        ]
        assert await failures(*(store.put(*put) for put in puts)) == [
            *(None, DuplicateRecordError, None, InvalidRecordError, DuplicateRecordError),
            *(DuplicateRecordError, None, InvalidRecordError),
        ]
        assert await numbers(store) == [8, 5, 3, 2, 1]
        assert await all_entries(store) == [entry(1), entry(5)]
        assert await store.get("acme", record_id(5)) == record(5)

    async def test_many_are_looked_up(self, store: Store) -> None:
        """Of the ids asked for, the tenant's own come back, however many."""
        kept = [record(number) for number in range(1, 251)]
        await store.put([*kept, record(999, tenant="other")])
        asked = [record_id(999), *(one.id for one in kept[::-1]), record_id(1000), kept[0].id]
        assert await store.get_many("acme", asked) == {one.id: listed(one) for one in kept}
        some = [one.id for one in kept[:3]]
        assert await store.get_many("acme", some, with_payload=True) == {one.id: one for one in kept[:3]}
        assert await store.get_many("acme", []) == {}

    async def test_nothing_to_put(self, store: Store) -> None:
        """An empty put is done."""
        await store.put([])
        assert await store.count() == {}

    async def test_probe(self, store: Store) -> None:
        """A probe succeeds, and leaves nothing that anybody sees."""
        await asyncio.gather(store.probe(), store.probe())
        assert await store.count() == {}

    async def test_cancelled_callers(self, store: Store) -> None:
        """Callers that give up leave whole puts or none, and nobody else's suffers."""
        tasks = [asyncio.ensure_future(store.put([record(2 * n), record(2 * n + 1)])) for n in range(60)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None for result in results[1::2])
        await store.probe()  # what was not taken back is done by now
        found = set(await numbers(store, limit=200))
        for n in range(60):
            assert (2 * n in found) == (2 * n + 1 in found)
            assert results[n] is not None or 2 * n in found


class TestIsolation:
    """Tenants do not see each other."""

    async def test_one_id_for_all_tenants(self, store: Store) -> None:
        """Tenants, however alike their names, have records and histories of their own under the same ids."""
        kept = {tenant: record(1, tenant=tenant, payload=b"%d" % n) for n, tenant in enumerate(TENANTS)}
        for tenant, one in kept.items():
            await store.put([one], [entry(1, tenant=tenant)])
        await store.revoke("Acme", record_id(1), reason="x", revoked_by="y", now_ms=1)
        for tenant, one in kept.items():
            found = await store.get(tenant, record_id(1))
            assert found is not None
            assert (found.tenant, found.payload) == (tenant, one.payload)
            assert (found.revoked_at_ms is not None) == (tenant == "Acme")
            assert await all_entries(store, tenant) == [entry(1, tenant=tenant)]
            page = await store.list(tenant, limit=9, before=None, status=None, now_ms=0)
            assert [shown.tenant for shown in records_of(page)] == [tenant]
        assert await store.count() == dict.fromkeys(TENANTS, 1)

    async def test_strangers(self, store: Store) -> None:
        """Who has no record under an id can neither see, revoke nor purge another's."""
        await store.put([record(1)], [entry(1)])
        assert await store.get("other", record_id(1)) is None
        assert await store.get_many("other", [record_id(1)]) == {}
        assert await store.revoke("other", record_id(1), reason="x", revoked_by="y", now_ms=1) is None
        assert await store.purge("other", before=record_id(9), limit=9) == 0
        assert await store.entries("other", after=None, limit=9) == []
        assert await store.get("acme", record_id(1)) == record(1)

    async def test_keys_of_others(self, store: Store) -> None:
        """Tenants have idempotency keys of their own."""
        for number, tenant in enumerate(TENANTS):
            kept = await store.put_once(record(number, tenant=tenant), claim("k"))
            assert (kept.tenant, kept.id) == (tenant, record_id(number))


class TestListings:
    """Newest first, page by page."""

    async def test_order(self, store: Store) -> None:
        """By id downwards, whatever the order they came in; below a bound, and with payloads if asked for."""
        for number in (3, 1, 5, 2, 4):
            await store.put([record(number)])
        assert await numbers(store) == [5, 4, 3, 2, 1]
        assert await numbers(store, before=record_id(4), limit=2) == [3, 2]
        page = await store.list("acme", limit=2, before=None, status=None, now_ms=0, with_payload=True)
        assert (page.records, page.stale) == ([record(5), record(4)], False)

    async def test_by_status(self, store: Store) -> None:
        """A status shows exactly the records that stand so, and revoked wins over expired."""
        expiring = {2: 50, 3: 150, 4: 50}
        await store.put([record(1), *(record(n, expires_at_ms=at) for n, at in expiring.items())])
        await store.revoke("acme", record_id(4), reason="x", revoked_by="y", now_ms=1)
        assert await numbers(store, status="active", now_ms=100) == [3, 1]
        assert await numbers(store, status="expired", now_ms=100) == [2]
        assert await numbers(store, status="expired", now_ms=50) == [2]
        assert await numbers(store, status="expired", now_ms=49) == []
        assert await numbers(store, status="revoked", now_ms=100) == [4]
        for status in ("active", "expired", "revoked"):
            everything = await numbers(store, status=status, now_ms=100)
            assert await walk(store, 1, status=status, now_ms=100) == everything

    async def test_stays_right_while_rows_arrive(self, store: Store) -> None:
        """Pages neither repeat nor skip a record that was there at the start."""
        await store.put([record(number) for number in range(0, 60, 2)])
        seen: list[int] = []
        before = None
        while page := await numbers(store, limit=7, before=before):
            seen += page
            before = record_id(page[-1])
            await store.put([record(101 + len(seen)), record(page[-1] + 1)])
        assert seen == sorted(set(seen), reverse=True)
        assert set(seen) >= set(range(0, 60, 2))


class TestDamage:
    """Rows that somebody has damaged behind the store's back; ``operator`` does."""

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_a_damaged_row_stops_no_other(self, store: Store, operator: Operator, limit: int) -> None:
        """In a listing it has its error in its place, and pages of any size go on behind it."""
        await store.put([record(number) for number in range(1, 7)])
        operator.spoil_columns(5, 4, 1)
        found: list[Record | Damage] = []
        before = None
        while page := (await store.list("acme", limit=limit, before=before, status=None, now_ms=0)).records:
            assert len(page) <= limit
            found += page
            before = id_of(page[-1])
        assert list(map(id_of, found)) == [record_id(number) for number in range(6, 0, -1)]
        assert [one for one in found if isinstance(one, Record)] == [listed(record(n)) for n in (6, 3, 2)]

    @pytest.mark.parametrize("limit", [1, 2, 100])
    async def test_ids_that_are_none(self, store: Store, operator: Operator, limit: int) -> None:
        """Rows without an id, wherever they come in the order, neither end a walk nor hold it up."""
        await store.put([record(number) for number in range(1, 9)])
        operator.spoil_ids(8, 5, 4, 1)
        assert await walk(store, limit) == [7, 6, 3, 2]


class TestHistories:
    """Entries of chains."""

    async def test_order_and_paging(self, store: Store) -> None:
        """By chain and number, whatever the order they came in, in pages of any size."""
        kept = [entry(n, chain=chain) for chain in ("0a", "f", "9") for n in (3, 1, 2, 11)]
        for one in kept:
            await store.put([], [one])
        expected = sorted(kept, key=lambda one: (one.chain, one.number))
        for limit in (1, 2, 5, 1000):
            assert await all_entries(store, limit=limit) == expected
        after = Place(expected[4].chain, 7)
        assert await store.entries("acme", after=after, limit=1) == [expected[7]]
        assert await store.entries("acme", after=Place("f" * 32, 99), limit=9) == []

    async def test_every_field(self, store: Store) -> None:
        """An entry comes back as it went."""
        kept = Entry("acme", "0f" * 16, 2**62, "purged", record_id(7), 2**60, "sgl1_previous", "sgl1_seal")
        await store.put([], [kept])
        assert await all_entries(store) == [kept]

    async def test_records_and_entries_are_one(self, store: Store) -> None:
        """A put of both keeps both."""
        await asyncio.gather(*(store.put([record(n)], [entry(n)]) for n in range(1, 20)))
        assert await store.count() == {"acme": 19}
        assert [one.number for one in await all_entries(store)] == list(range(1, 20))


class TestClosing:
    """What was accepted is finished."""

    async def test_close_writes_what_waits(self, opener: Opener) -> None:
        """Writes that were accepted before the close are acknowledged; later calls are refused."""
        async with opener() as store:
            tasks = [asyncio.ensure_future(store.put([record(number)])) for number in range(100)]
            await asyncio.sleep(0)
            await store.close()
            await asyncio.gather(*tasks)
            late: list[Any] = [
                store.put([record(999)]),
                store.put_once(record(999), claim("k")),
                store.revoke("acme", record_id(1), reason="x", revoked_by="y", now_ms=1),
                store.get("acme", record_id(1)),
                store.get_many("acme", [record_id(1)]),
                store.list("acme", limit=1, before=None, status=None, now_ms=0),
                store.entries("acme", after=None, limit=1),
                store.count(),
                store.purge("acme", before=record_id(1), limit=1),
                store.probe(),
            ]
            assert await failures(*late) == [StoreUnavailableError] * len(late)
            await store.close()
        async with opener() as again:
            assert len(await numbers(again, limit=200)) == 100
