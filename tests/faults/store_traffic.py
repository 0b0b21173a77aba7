"""Callers of a store at random, and what must be so by what it has acknowledged."""

from __future__ import annotations

import asyncio
import bisect
import hashlib
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from core.engine import Engine, now_ms
from core.errors import RecordCorruptError, RecordUnverifiableError, StoreUnavailableError
from core.history.check import TenantCheck
from core.history.findings import Finding, Findings
from core.idempotency import Claimant, claim_of
from core.records import CanonicalJson, Record
from core.seals import Seals
from core.store.interface import Store
from core.store.sql_store import SqlStore
from sigil_native import KeyRing, SigilCodec

TENANTS: Final = ("acme", "globex")
SECRET: Final = "a secret that survives every outage of all"


def _ring() -> KeyRing:
    ring = KeyRing()
    ring.add(SECRET)
    return ring


def seals() -> Seals:
    """What checks the records of all traffic."""
    return Seals(_ring())


class Attempted(NamedTuple):
    """What has happened to one record, as far as callers know.

    Attributes:
        record: as it was first sent, not revoked.
        reasons: of all revocations that were tried.
    """

    record: Record
    reasons: set[str]


class Expectations:
    """What was tried, what was acknowledged, and what is wrong with what the store says about it."""

    def __init__(self, *, exact: bool = True) -> None:
        """Expect nothing yet.

        Args:
            exact: a revocation that was seen keeps its reason and time, and a key its record. A spool answers
                without what the store alone knows.
        """
        self.tried: dict[str, Attempted] = {}
        #: Each with the number of those before it.
        self.kept: dict[str, int] = {}
        self.groups: set[frozenset[str]] = set()
        self.under_key: dict[bytes, set[str]] = {}
        self.holders: dict[bytes, str] = {}
        self.revoked: dict[str, tuple[str | None, int | None]] = {}
        self.wrong: list[str] = []
        self._ids: list[str] = []
        self._kept_of: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
        self._revoked_order: dict[str, int] = {}
        self.exact = exact
        #: Keys with several records.
        self._ambiguous: set[bytes] = set()

    def trying(self, records: Iterable[Record]) -> None:
        """These are sent now, together, for the first time or again."""
        ids = frozenset(record.id for record in records)
        for record in records:
            if record.id not in self.tried:
                self.tried[record.id] = Attempted(record, set())
                self._ids.append(record.id)
        self.groups.add(ids)

    def one(self, chance: random.Random) -> Attempted | None:
        """A record that was sent, mostly a young one."""
        if not self._ids:
            return None
        young = max(len(self._ids) - 50, 0)
        return self.tried[self._ids[chance.randrange(young if chance.random() < 0.7 else 0, len(self._ids))]]

    def acknowledged(self, record_id: str) -> None:
        """This record is kept."""
        if record_id not in self.kept:
            self.kept[record_id] = len(self.kept)
            bisect.insort(self._kept_of[self.tried[record_id].record.tenant], record_id)

    def was_kept(self, record_id: str, before: Snapshot) -> bool:
        """Whether it was acknowledged by then."""
        return self.kept.get(record_id, before.kept) < before.kept

    def was_revoked(self, record_id: str, before: Snapshot) -> bool:
        """Whether it was known to be revoked by then."""
        return self._revoked_order.get(record_id, before.revoked) < before.revoked

    def between(self, tenant: str, oldest: str, bound: str | None, before: Snapshot) -> Iterator[str]:
        """The tenant's records that were acknowledged by then, from one on, below another."""
        ids = self._kept_of[tenant]
        end = len(ids) if bound is None else bisect.bisect_left(ids, bound)
        return (one for one in ids[bisect.bisect_left(ids, oldest) : end] if self.was_kept(one, before))

    def has(self, record_id: str, found: Record | None, before: Snapshot) -> None:
        """A store that was asked at the time of ``before`` has this of a record."""
        if found is None:
            self.demand(
                not self.was_kept(record_id, before), f"{record_id} was acknowledged, and is not there"
            )
            return
        attempted = self.tried.get(record_id)
        if attempted is None:
            self.demand(False, f"{record_id} was never sent")
            return
        revocation = {"revoked_at_ms": None, "revoked_by": None, "revoked_reason": None, "stale": False}
        plain = msgspec.structs.replace(found, **revocation)
        sent = attempted.record
        if plain.payload is None:
            sent = msgspec.structs.replace(sent, payload=None)
        self.demand(plain == sent, f"{record_id} is another than was sent")
        if found.revoked_at_ms is None:
            self.demand(
                not self.was_revoked(record_id, before), f"{record_id} was revoked, and is not any more"
            )
            return
        self.demand(
            found.revoked_reason in attempted.reasons,
            f"{record_id} is revoked for a reason nobody gave",
        )
        seen = (found.revoked_reason, found.revoked_at_ms)
        first = self.revoked.setdefault(record_id, seen)
        self._revoked_order.setdefault(record_id, len(self._revoked_order))
        self.demand(not self.exact or first == seen, f"{record_id} was revoked by {first}, now by {seen}")

    def holds(self, key: bytes, kept: Record) -> None:
        """This record was acknowledged under an idempotency key."""
        self.demand(kept.id in self.under_key[key], f"{kept.id} was never sent under its key")
        holder = self.holders.setdefault(key, kept.id)
        if holder != kept.id:
            self._ambiguous.add(key)
            self.demand(not self.exact, f"one key was answered with {holder} and {kept.id}")
        self.acknowledged(kept.id)

    @property
    def ambiguous(self) -> int:
        """How many keys have, or were answered with, more than one record."""
        return len(self._ambiguous)

    def are_all(self, stored: Sequence[Record]) -> None:
        """These are all records that there are, of all tenants, read behind the store's back."""
        snapshot = self.snapshot()
        ids = [record.id for record in stored]
        there = set(ids)
        self.demand(len(ids) == len(there), "a record is there twice")
        for record in stored:
            self.has(record.id, record, snapshot)
        for lost in self.kept.keys() - there:
            self.demand(False, f"{lost} was acknowledged, and is lost")
        for group in self.groups:
            self.demand(group <= there or not group & there, f"of {len(group)} records some are there")
        for key, tried in self.under_key.items():
            found = tried & there
            if len(found) > 1:
                self._ambiguous.add(key)
                self.demand(not self.exact, f"under one key there are {len(found)} records")
            holder = self.holders.get(key)
            self.demand(
                holder is None or holder in found, "a key has another record than it was answered with"
            )

    def demand(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong, unless this holds."""
        if not holds:
            self.wrong.append(otherwise)

    def snapshot(self) -> Snapshot:
        """What was acknowledged until now."""
        return Snapshot(len(self.kept), len(self._revoked_order))


def stored_in(path: Path) -> list[Record]:
    """All records of an SQLite file, read without the store's code."""
    names = [field.name for field in msgspec.structs.fields(Record) if field.name != "stale"]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute(f"SELECT {', '.join(names)} FROM sigils").fetchall()  # noqa: S608
    return [
        Record(**{**dict(zip(names, row, strict=True)), "id": str(UUID(bytes=row[names.index("id")]))})
        for row in rows
    ]


async def check_history(path: Path) -> Counter[str]:
    """Check seals and histories of all that an SQLite file has; what was found, by its kind."""
    store = SqlStore.open(f"sqlite:///{path}")
    found: list[Finding] = []
    try:
        for tenant in TENANTS:
            await TenantCheck(store, seals(), tenant, Findings(found.append), lambda *_: None).run()
    finally:
        await store.close()
    return Counter(finding.kind for finding in found)


class Snapshot(NamedTuple):
    """How many records were acknowledged, and known to be revoked, at some time."""

    kept: int
    revoked: int


class Traffic:
    """Callers that work on a store at the same time, each by a seed of its own.

    Attributes:
        counts: operations by name and outcome.
        verdicts: of verifications, what they said of a revocation.
        slowest: seconds of the slowest call of each kind.
    """

    def __init__(self, store: Store, expectations: Expectations, *, seed: int) -> None:
        self.store = store
        self.expected = expectations
        self.counts: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self._seed = seed
        self._codec = SigilCodec(_ring())
        self._engine = Engine(seals(), store)
        self._keys: list[tuple[str, str, Record]] = []
        self._unsure: list[Sequence[Record]] = []

    @property
    def operations(self) -> int:
        """How many calls have ended, without those that were not made because the breaker was open."""
        return sum(count for outcome, count in self.counts.items() if not outcome.endswith(" open"))

    async def run(self, operations: int, callers: int) -> None:
        """Make so many calls in all."""
        end = self.operations + operations

        async def caller(number: int) -> None:
            chance = random.Random(f"{self._seed} caller {number} {end}")
            while self.operations < end:
                if await self._one(chance) == "open":
                    await asyncio.sleep(chance.uniform(0.02, 0.1))
                await asyncio.sleep(chance.expovariate(100))

        await asyncio.gather(*(caller(number) for number in range(callers)))

    async def _one(self, chance: random.Random) -> str:
        """Make a call; what became of it."""
        kinds: dict[str, tuple[int, Callable[[random.Random], Coroutine[Any, Any, None]]]] = {
            "put": (4, self._put),
            "put_once": (5, self._put_once),
            "get": (3, self._get),
            "get_many": (1, self._get_many),
            "list": (1, self._list),
            "revoke": (2, self._revoke),
            "verify": (2, self._verify),
        }
        names = list(kinds)
        (name,) = chance.choices(names, [kinds[one][0] for one in names])
        begin = time.monotonic()
        outcome = "answered"
        try:
            await kinds[name][1](chance)
        except StoreUnavailableError as error:
            outcome = error.reason
        taken = time.monotonic() - begin
        self.slowest[name] = max(taken, self.slowest.get(name, 0.0))
        self.counts[f"{name} {outcome}"] += 1
        return outcome

    def _sealed(self, chance: random.Random, tenant: str, payload: CanonicalJson | None = None) -> Record:
        if payload is None:
            filler = "x" * chance.choice([0, 40, 400, 20_000])
            payload = CanonicalJson(b'{"filler":"%b","n":%d}' % (filler.encode(), chance.randrange(1 << 40)))
        text = self._codec.encode_json(payload, tenant=tenant)
        sigil = self._codec.decode(text)
        return Record(
            tenant=tenant,
            id=sigil.id,
            sigil=text,
            key_id=sigil.key_id,
            issued_at_ms=sigil.issued_at_ms,
            expires_at_ms=sigil.expires_at_ms,
            payload=payload,
            canonical_sha256=hashlib.sha256(payload).digest(),
            created_at_ms=now_ms(),
            created_by="tester",
        )

    async def _put(self, chance: random.Random) -> None:
        """New records, or some again of which nobody knows whether they were kept."""
        if self._unsure and chance.random() < 0.4:
            records = self._unsure.pop(chance.randrange(len(self._unsure)))
        else:
            tenant = chance.choice(TENANTS)
            records = [self._sealed(chance, tenant) for _ in range(chance.choice([1, 1, 3]))]
        self.expected.trying(records)
        try:
            await self.store.put(records)
        except StoreUnavailableError:
            self._unsure.append(records)
            raise
        for record in records:
            self.expected.acknowledged(record.id)

    async def _put_once(self, chance: random.Random) -> None:
        """A new key, or one that was used before, by a request that is sent again and sealed anew."""
        if self._keys and chance.random() < 0.5:
            tenant, key, earlier = chance.choice(self._keys[-20:])
            record = self._sealed(chance, tenant, earlier.payload)
        else:
            tenant, key = chance.choice(TENANTS), f"key {chance.randrange(1 << 62)}"
            record = self._sealed(chance, tenant)
            self._keys.append((tenant, key, record))
        claim = claim_of(
            Claimant("issuer", "tester"), key, canonical_sha256=record.canonical_sha256, expires_in=None
        )
        self.expected.trying([record])
        self.expected.under_key.setdefault(claim.key_digest, set()).add(record.id)
        before = self.expected.snapshot()
        kept = await self.store.put_once(record, claim)
        self.expected.has(kept.id, kept, before)
        self.expected.holds(claim.key_digest, kept)

    async def _get(self, chance: random.Random) -> None:
        if attempted := self.expected.one(chance):
            record, _ = attempted
            before = self.expected.snapshot()
            found = await self.store.get(record.tenant, record.id, with_payload=chance.random() < 0.5)
            self.expected.has(record.id, found, before)
            other = next(tenant for tenant in TENANTS if tenant != record.tenant)
            stolen = await self.store.get(other, record.id)
            self.expected.demand(stolen is None, f"{record.id} is shown to another tenant")

    async def _get_many(self, chance: random.Random) -> None:
        chosen = [attempted for _ in range(10) if (attempted := self.expected.one(chance))]
        records = [record for record, _ in chosen if record.tenant == chosen[0].record.tenant]
        if records:
            before = self.expected.snapshot()
            ids = list({record.id for record in records})
            found = await self.store.get_many(records[0].tenant, ids)
            for record_id in ids:
                one = found.get(record_id)
                if isinstance(one, RecordCorruptError | RecordUnverifiableError):
                    self.expected.demand(False, str(one))
                else:
                    self.expected.has(record_id, one, before)

    async def _list(self, chance: random.Random) -> None:
        tenant = chance.choice(TENANTS)
        limit = chance.choice([1, 10, 200])
        some = self.expected.one(chance)
        bound = some.record.id if some and chance.random() < 0.5 else None
        before = self.expected.snapshot()
        listing = await self.store.list(tenant, limit=limit, before=bound, status=None, now_ms=now_ms())
        records = [one for one in listing.records if isinstance(one, Record)]
        assert len(records) == len(listing.records), listing
        ids = [record.id for record in records]
        self.expected.demand(ids == sorted(set(ids), reverse=True), "a listing is out of order")
        for record in records:
            self.expected.has(record.id, record, before)
        if not listing.stale:
            oldest = ids[-1] if len(ids) == limit else ""
            for record_id in self.expected.between(tenant, oldest, bound, before):
                self.expected.demand(record_id in ids, f"{record_id} is not listed")

    async def _revoke(self, chance: random.Random) -> None:
        attempted = self.expected.one(chance)
        # Before a spool has acknowledged a record, nobody knows of it who could have it revoked.
        if attempted is not None and (self.expected.exact or attempted.record.id in self.expected.kept):
            record, reasons = attempted
            reason = f"reason {chance.randrange(1 << 30)}"
            reasons.add(reason)
            before = self.expected.snapshot()
            found = await self.store.revoke(
                record.tenant, record.id, reason=reason, revoked_by="tester", now_ms=now_ms()
            )
            self.expected.has(record.id, found, before)
            if found is not None:
                revoked = found.revoked_at_ms is not None
                self.expected.demand(revoked, f"{record.id} was not revoked, it is said")

    async def _verify(self, chance: random.Random) -> None:
        if attempted := self.expected.one(chance):
            record, _ = attempted
            before = self.expected.snapshot()
            verdict = await self._engine.verify(record.tenant, record.sigil, record.payload)
            said = verdict.revocation
            self.expected.demand(verdict.signature == "valid", f"{record.id} has no valid seal")
            wrong = {"not_recorded"} if self.expected.was_kept(record.id, before) else set()
            if self.expected.was_revoked(record.id, before):
                wrong = {"not_revoked", "not_recorded"}
            self.expected.demand(said not in wrong, f"{record.id} is {said}, says a verdict")
            self.verdicts[said] += 1
