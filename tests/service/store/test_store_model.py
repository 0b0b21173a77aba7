"""The SQL store against the simplest store that could be right: a dictionary."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from core.errors import DuplicateRecordError, IdempotencyKeyReusedError
from core.idempotency import Claimant, KeyLimits, claim_of
from core.records import CanonicalJson, Record, Status
from core.store.sql_store import SqlStore
from tests.heavy import HEAVY
from tests.service.store.store_records import record_id, records_of

_T = TypeVar("_T")

tenants = st.sampled_from(["acme", "globex", "a\u00e9\U0001f600", "x'; --"])
numbers = st.integers(0, 15)
times = st.integers(0, 20)
LIFETIME_MS = 1000
statuses: st.SearchStrategy[Status | None] = st.sampled_from([None, "active", "expired", "revoked"])


class StoreMachine(RuleBasedStateMachine):
    """Puts, reads, revokes, lists, reopens; the dictionary tells what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.model: dict[tuple[str, str], Record] = {}
        self.now = 0
        self.keys: dict[tuple[str, str, str], tuple[bytes, str, int]] = {}
        self.store = self.open()

    def open(self) -> SqlStore:
        """Open the store, which makes it where it is missing."""
        url = f"sqlite:///{self.folder / 'sigils.db'}"
        return SqlStore.open(url, key_limits=KeyLimits(seconds=LIFETIME_MS // 1000))

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run on the machine's own loop."""
        return self.loop.run_until_complete(work)

    @rule(
        tenant=tenants,
        chosen=st.lists(numbers, min_size=1, max_size=4),
        expires=times,
        payload=st.binary(max_size=50),
    )
    def put(self, tenant: str, chosen: list[int], expires: int, payload: bytes) -> None:
        """A put keeps all its records, or refuses all if one id is taken by another."""
        records = [
            Record(tenant, record_id(n), "sigil", n, n, expires, CanonicalJson(payload), bytes(32), n, "me")
            for n in chosen
        ]
        if not all(self.made_alike(record) for record in records):
            try:
                self.run(self.store.put(records))
            except DuplicateRecordError:
                return
            raise AssertionError("a duplicate was accepted")
        self.run(self.store.put(records))
        for record in records:
            self.model.setdefault((tenant, record.id), record)

    @rule(
        tenant=tenants,
        subject=st.sampled_from(["me", "you"]),
        key=st.sampled_from(["a", "b"]),
        number=numbers,
        payload=st.sampled_from([b"{}", b"[]"]),
        passed=st.integers(0, LIFETIME_MS),
    )
    def put_once(self, tenant: str, subject: str, key: str, number: int, payload: bytes, passed: int) -> None:
        """A key that is held gives its record, or is refused; one that is free takes the new record."""
        self.now += passed
        claim = claim_of(Claimant("i", subject), key, canonical_sha256=payload.ljust(32), expires_in=None)
        record = Record(
            tenant, record_id(number), "s", 1, 1, 0, CanonicalJson(payload), bytes(32), self.now, subject
        )
        digest, holder, since = self.keys.get((tenant, subject, key), (b"", "", 0))
        held = holder != "" and self.now < since + LIFETIME_MS
        expected = self.listed(self.model[tenant, holder]) if held else record
        try:
            kept = self.run(self.store.put_once(record, claim))
        except IdempotencyKeyReusedError:
            assert held
            assert digest != claim.request_digest
        except DuplicateRecordError:
            assert not held
            assert (tenant, record.id) in self.model
        else:
            assert kept == expected
            assert not held or digest == claim.request_digest
            if not held:
                assert (tenant, record.id) not in self.model
                self.model[tenant, record.id] = record
                self.keys[tenant, subject, key] = (claim.request_digest, record.id, self.now)

    @rule(tenant=tenants, number=numbers, reason=st.text(max_size=5), now=times)
    def revoke(self, tenant: str, number: int, reason: str, now: int) -> None:
        """A revocation sticks with its first reason."""
        key = (tenant, record_id(number))
        found = self.run(self.store.revoke(*key, reason=reason, revoked_by="me", now_ms=now))
        if key in self.model and self.model[key].revoked_at_ms is None:
            changes = {"revoked_at_ms": now, "revoked_by": "me", "revoked_reason": reason}
            self.model[key] = msgspec.structs.replace(self.model[key], **changes)
        assert found == self.listed(self.model.get(key))

    @rule(tenant=tenants, number=numbers)
    def get(self, tenant: str, number: int) -> None:
        """A get finds what was put for this tenant, and nothing else."""
        key = (tenant, record_id(number))
        assert self.run(self.store.get(*key)) == self.model.get(key)

    @rule(tenant=tenants, limit=st.integers(1, 5), status=statuses, now=times)
    def walk(self, tenant: str, limit: int, status: Status | None, now: int) -> None:
        """Walking the pages shows each record of the status once, newest first."""
        expected = [
            self.listed(record)
            for (owner, _), record in sorted(self.model.items(), key=lambda item: item[0][1], reverse=True)
            if owner == tenant and status in {None, record.status(now)}
        ]
        walked: list[Record] = []
        before = None
        while page := records_of(
            self.run(self.store.list(tenant, limit=limit, before=before, status=status, now_ms=now))
        ):
            walked += page
            before = page[-1].id
        assert walked == expected

    @rule()
    def reopen(self) -> None:
        """Closing and opening changes nothing."""
        self.run(self.store.close())
        self.store = self.open()

    @rule()
    def probe(self) -> None:
        """The store can always write."""
        self.run(self.store.probe())

    def made_alike(self, record: Record) -> bool:
        """Whether a record is new, or the one that is there as it was made."""
        kept = self.model.get((record.tenant, record.id), record)
        unrevoked = msgspec.structs.replace(kept, revoked_at_ms=None, revoked_by=None, revoked_reason=None)
        return unrevoked == record

    @staticmethod
    def listed(record: Record | None) -> Record | None:
        """As a listing shows it."""
        return None if record is None else msgspec.structs.replace(record, payload=None)

    def teardown(self) -> None:
        """Close, and take the files away."""
        self.run(self.store.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(
    max_examples=300 if HEAVY else 6,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
