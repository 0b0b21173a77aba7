"""A store that may answer anything: nothing of it is handed on that is not what was sealed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.engine import Engine
from core.errors import RecordCorruptError, RecordUnverifiableError, StoreUnavailableError
from core.idempotency import Claim
from core.records import CanonicalJson, Damage, Entry, Listing, Place, Record, Status
from core.store.sql_store import SqlStore
from core.store.verifying import VerifyingStore
from sigil_native import KeyRing
from tests.service.store.histories import TroubledStore, sealed, seals
from tests.service.store.store_records import records_of

KEYS = seals()
Change = Callable[[Record], Record]


class LyingStore(TroubledStore):
    """Answers with what ``change`` makes of its records, and ``arrange`` of its listings."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store, lambda: "fine")
        self.change: Change = lambda record: record
        self.arrange: Callable[[Sequence[Record]], Sequence[Record]] = lambda records: records
        self.asked: list[int] = []

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        record = await super().get(tenant, record_id, with_payload=with_payload)
        return None if record is None else self.change(record)

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | RecordCorruptError | RecordUnverifiableError]:
        """See Store.get_many."""
        self.asked.append(len(record_ids))
        found = await super().get_many(tenant, record_ids, with_payload=with_payload)
        return {
            record_id: self.change(record) if isinstance(record, Record) else record
            for record_id, record in found.items()
        }

    async def list(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None,
        status: Status | None,
        now_ms: int,
        with_payload: bool = False,
    ) -> Listing:
        """See Store.list."""
        self.asked.append(limit)
        listing = await super().list(
            tenant, limit=limit, before=before, status=status, now_ms=now_ms, with_payload=with_payload
        )
        return Listing(self.arrange([self.change(record) for record in records_of(listing)]))

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return self.change(await super().put_once(record, claim))

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        revoked = await super().revoke(tenant, record_id, reason=reason, revoked_by=revoked_by, now_ms=now_ms)
        return None if revoked is None else self.change(revoked)


@pytest.fixture
async def lying(tmp_path: Path) -> AsyncIterator[LyingStore]:
    """Over a real store."""
    store = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    store.start()
    yield LyingStore(store)
    await store.close()


async def listed(store: VerifyingStore, limit: int = 100, **options: Any) -> Sequence[Record | Damage]:
    """A listing's records."""
    chosen = {"before": None, "status": None, "now_ms": 0, **options}
    return (await store.list("acme", limit=limit, **chosen)).records


def with_members(**members: Any) -> Change:
    """Change these."""
    return lambda record: msgspec.structs.replace(record, **members)


async def test_what_is_right_is_handed_on(lying: LyingStore) -> None:
    """Records come as they were put, payloads only where they are asked for, in bounded pieces."""
    store = VerifyingStore(lying, KEYS)
    records = [sealed(KEYS, number) for number in range(150)]
    await store.put(records)
    bare = [msgspec.structs.replace(record, payload=None) for record in records]
    first = records[0]
    assert await store.get("acme", first.id) == first
    assert await store.get("acme", first.id, with_payload=False) == bare[0]
    assert await store.get("other", first.id) is None
    assert await store.get_many("acme", [one.id for one in records]) == {one.id: one for one in bare}
    assert await listed(store, 150) == bare[::-1]
    assert await listed(store, 40, before=records[100].id, with_payload=True) == records[60:100][::-1]
    assert max(lying.asked) < 100
    revoked = await store.revoke("acme", first.id, reason="r", revoked_by="w", now_ms=5)
    assert revoked == msgspec.structs.replace(bare[0], revoked_at_ms=5, revoked_by="w", revoked_reason="r")
    assert await store.revoke("acme", first.id, reason="x", revoked_by="y", now_ms=6) == revoked
    assert await listed(store, status="revoked") == [revoked]
    assert await store.revoke("other", first.id, reason="r", revoked_by="w", now_ms=5) is None


async def test_large_payloads_come_in_small_pieces(lying: LyingStore) -> None:
    """The larger the payloads, the fewer are in memory at the same time."""
    store = VerifyingStore(lying, KEYS)
    codec = KEYS.keys.codec
    payload = CanonicalJson(b'"' + b"x" * 1_000_000 + b'"')
    records = []
    for number in range(24):
        text = codec.encode_json(payload, tenant="acme")
        sigil = codec.decode(text)
        template = sealed(KEYS, number)
        records.append(
            msgspec.structs.replace(
                template,
                id=sigil.id,
                sigil=text,
                issued_at_ms=sigil.issued_at_ms,
                payload=payload,
                canonical_sha256=hashlib.sha256(payload).digest(),
            )
        )
    await store.put(records)
    assert len(await listed(store)) == 24
    assert lying.asked[1:] == [4, 4, 4][: len(lying.asked) - 1]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("payload", b'{"number":8}'),
        ("payload", None),
        ("payload", b"no JSON"),
        ("sigil", "sgl1_"),
        ("tenant", "other"),
        ("id", "00000000-0001-7000-8000-000000000000"),
        ("key_id", 1),
        ("issued_at_ms", 1),
        ("expires_at_ms", 1),
        ("canonical_sha256", bytes(32)),
        ("created_at_ms", 10**400),
    ],
)
async def test_damage_is_found(lying: LyingStore, member: str, value: object) -> None:
    """Each member that the seal covers is checked, by every call that reads; others are not stopped."""
    store = VerifyingStore(lying, KEYS)
    good, bad = sealed(KEYS, 1), sealed(KEYS, 2)
    await store.put([good, bad])
    change = with_members(**{member: value})
    lying.change = lambda record: change(record) if record.id == bad.id else record
    with pytest.raises(RecordCorruptError):
        await store.get("acme", bad.id)
    with pytest.raises(RecordCorruptError):
        await store.get("acme", bad.id, with_payload=False)
    if member == "id":  # in a place where it cannot be
        with pytest.raises(StoreUnavailableError):
            await listed(store)
    else:
        damaged, *others = await listed(store)
        assert isinstance(damaged, RecordCorruptError)
        assert damaged.record_id == bad.id
        assert others == [msgspec.structs.replace(good, payload=None)]
        assert await listed(store, 1, before=bad.id) == others
    with pytest.raises((RecordCorruptError, StoreUnavailableError)):
        await store.revoke("acme", bad.id, reason="r", revoked_by="w", now_ms=5)
    found = await store.get_many("acme", [good.id, bad.id])
    assert found[good.id] == msgspec.structs.replace(good, payload=None)
    assert isinstance(found[bad.id], RecordCorruptError)


async def test_an_earlier_record(lying: LyingStore) -> None:
    """What an idempotency key is answered with is the payload's own record, and intact."""
    store = VerifyingStore(lying, KEYS)
    first, claim = sealed(KEYS, 1), Claim(bytes(32), bytes(32))
    assert await store.put_once(first, claim) == first
    again = sealed(KEYS, 1)
    assert await store.put_once(again, claim) == msgspec.structs.replace(first, payload=None)
    other = sealed(KEYS, 2)
    await store.put([other])
    lying.change = lambda record: msgspec.structs.replace(other, payload=None)
    with pytest.raises(RecordCorruptError):
        await store.put_once(again, claim)
    lying.change = with_members(sigil=other.sigil)
    with pytest.raises(RecordCorruptError):
        await store.put_once(again, claim)


async def test_revocations_agree(lying: LyingStore) -> None:
    """A revocation that the store only says it has made, or tells in two ways, is not believed."""
    store = VerifyingStore(lying, KEYS)
    record = sealed(KEYS, 1)
    await store.put([record])
    answers = [with_members(), with_members(revoked_at_ms=None, revoked_by=None, revoked_reason=None)]

    def next_answer(one: Record) -> Record:
        return answers.pop(0)(one)

    lying.change = next_answer
    with pytest.raises(StoreUnavailableError, match="invalid_answer"):
        await store.revoke("acme", record.id, reason="r", revoked_by="w", now_ms=5)
    answers = [with_members(), with_members(revoked_reason="another")]
    with pytest.raises(StoreUnavailableError, match="invalid_answer"):
        await store.revoke("acme", record.id, reason="r", revoked_by="w", now_ms=5)


@pytest.mark.parametrize("how", ["reversed", "doubled", "too many", "not below", "another status"])
async def test_listings_are_in_order(lying: LyingStore, how: str) -> None:
    """A listing that repeats, goes back, or shows what was not asked for is refused as a whole."""
    store = VerifyingStore(lying, KEYS)
    records = [sealed(KEYS, number) for number in range(5)]
    await store.put(records)
    if how == "another status":
        lying.change = with_members(revoked_at_ms=5, revoked_by="x", revoked_reason="y")
        with pytest.raises(StoreUnavailableError, match="invalid_answer"):
            await listed(store, status="active")
        return
    lying.arrange = {
        "reversed": lambda found: found[::-1],
        "doubled": lambda found: [found[0], *found][:3],
        "too many": lambda found: records[::-1],
        "not below": lambda found: records[::-1][:3],
    }[how]
    with pytest.raises(StoreUnavailableError, match="invalid_answer"):
        await listed(store, 3, before=records[4].id)


async def test_entries_are_in_order(lying: LyingStore) -> None:
    """Entries come by chain and number, behind the place that was asked for, of one tenant."""
    store = VerifyingStore(lying, KEYS)
    entries = [
        Entry("acme", "a" * 32, number, "sealed", sealed(KEYS, 1).id, 1, "", "s") for number in (1, 2, 3)
    ]
    await store.put([], entries)
    assert await store.entries("acme", after=None, limit=9) == entries
    assert await store.entries("acme", after=Place("a" * 32, 2), limit=9) == entries[2:]
    for lie in (entries[::-1], entries[:2], [msgspec.structs.replace(entries[2], tenant="other")]):

        async def answer(*_: object, lie: Sequence[Entry] = lie, **__: object) -> Sequence[Entry]:
            return lie

        lying.entries = answer  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailableError, match="invalid_answer"):
            await store.entries("acme", after=Place("a" * 32, 2), limit=9)


async def test_keys_that_cannot_tell(lying: LyingStore) -> None:
    """A key that is not in the ring makes records unverifiable, not corrupt; a ring is exchanged at once."""
    keys = seals()
    store = VerifyingStore(lying, keys)
    record = sealed(keys, 1)
    later = sealed(keys, 0)
    await store.put([record, later])
    other = KeyRing()
    other.add(b"o" * 32)
    keys.use_ring(other)
    newest = sealed(keys, 2)
    await store.put([newest])
    with pytest.raises(RecordUnverifiableError):
        await store.get("acme", record.id)
    kinds = [Record, RecordUnverifiableError, RecordUnverifiableError]
    assert list(map(type, await listed(store))) == kinds
    found = await store.get_many("acme", [record.id])
    assert isinstance(found[record.id], RecordUnverifiableError)
    engine = Engine(KEYS, store)
    page = await engine.list("acme", limit=2, cursor=None, status=None)
    assert ([one.id for one in page.records], page.withheld) == ([newest.id], [later.id])
    rest = await engine.list("acme", limit=2, cursor=page.next_cursor, status=None)
    assert (rest.records, rest.withheld, rest.next_cursor) == ([], [record.id], None)
    verdict = await Engine(KEYS, store).verify("acme", record.sigil, CanonicalJson(record.payload or b""))
    assert (verdict.valid, verdict.revocation) == (False, "unknown")
    keys.use_ring(_ring())
    assert await store.get("acme", record.id) == record


def _ring() -> KeyRing:
    ring = KeyRing()
    ring.add(b"s" * 32)
    return ring


async def test_expired_records(lying: LyingStore) -> None:
    """The clock says nothing about a seal: an expired record is handed on."""
    store = VerifyingStore(lying, KEYS)
    record = sealed(KEYS, 1, expires_in=0.001)
    await store.put([record])
    await asyncio.sleep(0.01)
    assert await store.get("acme", record.id) == record
