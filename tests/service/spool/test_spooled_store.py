"""What each call does while the store is away, and that all of it arrives afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import (
    DuplicateRecordError,
    IdempotencyKeyReusedError,
    StoreOverloadedError,
    StorePartlyUnavailableError,
    StoreUnavailableError,
)
from core.idempotency import Claim
from core.records import Entry, Record, id_of
from core.spool.spooled_store import SpooledStore
from core.spool.writes import Held
from tests.service.spool.switch import Switch, Watcher, ids, listed, spooled, until, until_empty
from tests.service.store.store_records import record, record_id

CLAIM = Claim(b"k" * 32, b"r" * 32)


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


async def test_a_key_whose_record_is_forwarded_meanwhile(
    switch: Switch, store: SpooledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage between two looks at a key that waited does not refuse the caller: the new record is kept."""
    switch.mode = "down"
    await store.put_once(record(1), CLAIM)
    store.start()
    look = store._spool.claimed

    async def forwarded_behind(*question: Any, **more: Any) -> Held | None:
        held = await look(*question, **more)
        switch.mode = "up"
        store.forward()
        await until_empty(store)
        switch.mode = "down"
        return held

    monkeypatch.setattr(store._spool, "claimed", forwarded_behind)
    assert (await store.put_once(record(2), CLAIM)).id == record_id(2)
    switch.mode = "up"
    await until_empty(store)
    assert switch.effects == [("put", "acme", record_id(1)), ("put", "acme", record_id(2))]


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


async def test_a_key_of_what_is_revoked_here(switch: Switch, store: SpooledStore) -> None:
    """A key's record is forwarded, its revocation waits still: whoever uses the key again is told of it."""
    switch.mode = "down"
    await store.put_once(record(1), CLAIM)
    revoked = await store.revoke("acme", record_id(1), reason="r", revoked_by="me", now_ms=5)
    switch.mode = "up"
    first, _ = await store._spool.batch(0, most=2, most_bytes=1 << 20)
    await switch.put_once(record(1), CLAIM)
    await store._spool.settle([first.sequence])
    assert revoked is not None
    assert (await store.get("acme", record_id(1))) is not None
    assert await store.put_once(record(2), CLAIM) == msgspec.structs.replace(revoked, stale=False)
    switch.mode = "down"
    assert (await store.put_once(record(3), CLAIM)).id == record_id(3)


async def test_started_again(switch: Switch, store: SpooledStore) -> None:
    """However often it is started, one task forwards, and closing ends that."""
    before = asyncio.all_tasks()
    store.start()
    store.start()
    assert len(asyncio.all_tasks() - before) == 1
    await store.close()
    assert asyncio.all_tasks() == before


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
