"""The part of the contract that is about what may be made again, and what is undone: see contract.py."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import msgspec
import pytest

from core.errors import DuplicateRecordError, IdempotencyKeyReusedError, InvalidRecordError
from core.store.interface import Store
from tests.service.store.contract import all_entries, claim, listed, numbers
from tests.service.store.implementations import Opener
from tests.service.store.store_records import entry, record, record_id


class TestIdempotency:
    """Every write may be made again."""

    async def test_put_again(self, store: Store) -> None:
        """A put that is made again changes nothing, alone or among others, whole or in part."""
        whole = [record(1), record(2)], [entry(1), entry(2)]
        await store.put(*whole)
        await store.put(*whole)
        await store.put([record(2), record(3)], [entry(2), entry(3)])
        await asyncio.gather(*(store.put([record(4)], [entry(4)]) for _ in range(9)), store.put(*whole))
        assert await numbers(store) == [4, 3, 2, 1]
        assert await all_entries(store) == [entry(number) for number in (1, 2, 3, 4)]

    async def test_put_again_keeps_what_happened_since(self, store: Store) -> None:
        """A record that was revoked since stays revoked when it is put again."""
        await store.put([record(1)])
        revoked = await store.revoke("acme", record_id(1), reason="r", revoked_by="y", now_ms=7)
        await store.put([record(1)])
        assert revoked is not None
        assert revoked.revoked_at_ms == 7
        assert await store.get("acme", record_id(1), with_payload=False) == revoked

    MADE_WITH: ClassVar[dict[str, Any]] = {
        "sigil": "another",
        "key_id": 1,
        "issued_at_ms": 9,
        "expires_at_ms": 9,
        "payload": b"[]",
        "canonical_sha256": bytes([1] * 32),
        "created_at_ms": 9,
        "created_by": "another",
    }

    async def test_another_record(self, store: Store) -> None:
        """A record that differs in anything that it was made with is another one, and is refused."""
        await store.put([record(1)], [entry(1)])
        for name, value in self.MADE_WITH.items():
            with pytest.raises(DuplicateRecordError):
                await store.put([msgspec.structs.replace(record(1), **{name: value})])
        changes: list[dict[str, Any]] = [
            {"step": "purged"},
            {"record_id": record_id(2)},
            {"at_ms": 9},
            {"previous": "another"},
            {"seal": "another"},
        ]
        for change in changes:
            with pytest.raises(DuplicateRecordError):
                await store.put([], [msgspec.structs.replace(entry(1), **change)])
        assert await store.get("acme", record_id(1)) == record(1)
        assert await all_entries(store) == [entry(1)]

    async def test_put_once(self, store: Store) -> None:
        """A key gives the record that was kept first, as it stands now; the same record again is the same."""
        assert await store.put_once(record(1), claim("k")) == record(1)
        for again in (record(1), record(2)):
            assert listed(await store.put_once(again, claim("k"))) == listed(record(1))
        revoked = await store.revoke("acme", record_id(1), reason="r", revoked_by="y", now_ms=7)
        assert await store.put_once(record(2), claim("k")) == revoked
        assert await numbers(store) == [1]

    async def test_a_key_for_something_else(self, store: Store) -> None:
        """A key cannot be used for another request, and the attempt keeps nothing."""
        await store.put_once(record(1), claim("k"))
        with pytest.raises(IdempotencyKeyReusedError):
            await store.put_once(record(2), claim("k", request=1))
        assert await numbers(store) == [1]

    async def test_failures_use_no_key_up(self, store: Store) -> None:
        """A record that could not be kept leaves its key free."""
        await store.put([record(1)])
        with pytest.raises(DuplicateRecordError):
            await store.put_once(record(1, payload=b"[]"), claim("k"))
        with pytest.raises(InvalidRecordError):
            await store.put_once(record(2, expires_at_ms=1 << 70), claim("k"))
        assert await store.put_once(record(3), claim("k", request=1)) == record(3)

    async def test_one_key_at_once(self, opener: Opener) -> None:
        """Of many calls at once, from two openers, one keeps its record and all answer with it."""
        async with opener() as store, opener() as other:
            calls = [one.put_once(record(n), claim("k")) for n in range(1, 21) for one in (store, other)]
            assert len({kept.id for kept in await asyncio.gather(*calls)}) == 1
            assert len(await numbers(store)) == 1

    async def test_many_keys_at_once(self, opener: Opener) -> None:
        """Two that claim many keys of many tenants at once, in opposite orders, agree on all of them."""
        async with opener() as store, opener() as other:
            wanted = [(f"tenant {n % 5}", n) for n in range(60)]
            calls = [store.put_once(record(n, tenant=tenant), claim(str(n))) for tenant, n in wanted]
            calls += [
                other.put_once(record(100 + n, tenant=tenant), claim(str(n))) for tenant, n in wanted[::-1]
            ]
            kept = [one.id for one in await asyncio.gather(*calls)]
            assert kept[:60] == kept[60:][::-1]
            assert sum((await store.count()).values()) == 60


class TestRevocations:
    """The first one counts."""

    async def test_the_first_reason_stays(self, opener: Opener) -> None:
        """Of several revocations, at once and later, everybody gets the first one's answer."""
        async with opener() as store, opener() as other:
            await store.put([record(1), record(2)])
            calls = [
                one.revoke("acme", record_id(1), reason=f"{n}", revoked_by=f"by {n}", now_ms=n)
                for n in range(1, 9)
                for one in (store, other)
            ]
            answers = {answer for answer in await asyncio.gather(*calls) if answer}
            assert len(answers) == 1
            answer = answers.pop()
            assert (answer.revoked_reason, answer.revoked_by) == (
                f"{answer.revoked_at_ms}",
                f"by {answer.revoked_at_ms}",
            )
            assert answer.payload is None
            again = await other.revoke("acme", record_id(1), reason="x", revoked_by="y", now_ms=99)
            assert again == answer
            assert await store.get("acme", record_id(2)) == record(2)

    async def test_nothing_to_revoke(self, store: Store) -> None:
        """Where there is no record, there is no answer."""
        assert await store.revoke("acme", record_id(1), reason="x", revoked_by="y", now_ms=1) is None


class TestPurges:
    """Old records go."""

    async def test_bounds(self, store: Store) -> None:
        """The oldest go first, no more than the limit, none that is not older, and no entry."""
        await store.put([record(n) for n in range(1, 11)], [entry(n) for n in range(1, 11)])
        await store.put([record(1, tenant="other")])
        assert await store.purge("acme", before=record_id(8), limit=3) == 3
        assert await numbers(store) == [10, 9, 8, 7, 6, 5, 4]
        assert await store.purge("acme", before=record_id(8), limit=100) == 4
        assert await store.purge("acme", before=record_id(8), limit=100) == 0
        assert await numbers(store) == [10, 9, 8]
        assert await store.get("acme", record_id(1)) is None
        assert await store.count() == {"acme": 3, "other": 1}
        assert len(await all_entries(store)) == 10

    async def test_more_than_a_transaction_takes(self, store: Store) -> None:
        """A large limit is kept to as well, while others write."""
        await store.put([record(n) for n in range(1, 401)])
        puts = [store.put([record(n)]) for n in range(1001, 1021)]
        purged, *_ = await asyncio.gather(store.purge("acme", before=record_id(999), limit=350), *puts)
        assert purged == 350
        assert await store.count() == {"acme": 70}

    async def test_what_is_left_is_counted(self, store: Store) -> None:
        """A tenant that has entries alone is there, with no records; one that has nothing is not."""
        await store.put([record(1)], [entry(1)])
        await store.put([record(1, tenant="other")])
        for tenant in ("acme", "other"):
            assert await store.purge(tenant, before=record_id(2), limit=9) == 1
        assert await store.count() == {"acme": 0}

    async def test_a_key_of_a_purged_record_is_free(self, store: Store) -> None:
        """Nothing holds a key whose record is gone."""
        await store.put_once(record(1), claim("k"))
        await store.purge("acme", before=record_id(2), limit=9)
        assert await store.put_once(record(3), claim("k", request=1)) == record(3)
