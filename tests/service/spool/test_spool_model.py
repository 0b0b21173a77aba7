"""Spooled stores of two workers against a dictionary, whatever the store behind them does."""

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

from core.errors import IdempotencyKeyReusedError, StorePartlyUnavailableError, StoreUnavailableError
from core.idempotency import Claim
from core.records import Record, Status
from core.spool.spooled_store import SpooledStore
from tests.heavy import HEAVY
from tests.service.spool.switch import Mode, Switch, spooled, sql_store, until_empty
from tests.service.store.store_records import record, records_of

_T = TypeVar("_T")

tenants = st.sampled_from(["acme", "globex"])
workers = st.sampled_from([0, 1])
statuses: st.SearchStrategy[Status | None] = st.sampled_from([None, "active", "expired", "revoked"])
modes: st.SearchStrategy[Mode] = st.sampled_from(["up", "down", "lost"])


class SpoolMachine(RuleBasedStateMachine):
    """Two workers of one host, a store that comes and goes, and deaths.

    The model has what was acknowledged. ``doubtful`` are records and revocations of calls that failed:
    these may have taken effect, or may do so later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.remote = self.run(self.make_remote())
        self.workers = [self.open(), self.open()]
        self.model: dict[tuple[str, str], Record] = {}
        self.doubtful: set[tuple[str, str]] = set()
        self.order: list[tuple[str, str]] = []
        self.claims: dict[tuple[str, bytes], list[tuple[bytes, str]]] = {}
        self.number = 0

    async def make_remote(self) -> Switch:
        """The store that comes and goes."""
        return Switch(sql_store(self.folder))

    def open(self) -> SpooledStore:
        """A worker."""
        return spooled(self.remote, self.folder)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run on the machine's own loop."""
        return self.loop.run_until_complete(work)

    def new(self, tenant: str, expires_at_ms: int = 0) -> Record:
        """A record that there has not been yet."""
        self.number += 1
        return record(self.number, tenant=tenant, expires_at_ms=expires_at_ms)

    @rule(mode=modes)
    def switch(self, mode: Mode) -> None:
        """The store goes, or comes back, or its answers are lost."""
        self.remote.mode = mode

    @rule(worker=workers, tenant=tenants, count=st.integers(1, 3), expires=st.sampled_from([0, 5, 50]))
    def put(self, worker: int, tenant: str, count: int, expires: int) -> None:
        """No put is refused: what the store does not take, the spool does."""
        records = [self.new(tenant, expires) for _ in range(count)]
        self.run(self.workers[worker].put(records))
        self.model |= {(tenant, one.id): one for one in records}

    @rule(worker=workers, tenant=tenants)
    def put_again(self, worker: int, tenant: str) -> None:
        """The same put again changes nothing."""
        mine = [one for (owner, _), one in self.model.items() if owner == tenant]
        for one in mine[:2]:
            made = msgspec.structs.replace(one, revoked_at_ms=None, revoked_by=None, revoked_reason=None)
            self.run(self.workers[worker].put([made]))

    @rule(
        worker=workers, tenant=tenants, key=st.sampled_from([b"a", b"b"]), asked=st.sampled_from([b"x", b"y"])
    )
    def put_once(self, worker: int, tenant: str, key: bytes, asked: bytes) -> None:
        """A key gives a record of its own, or one that it was acknowledged for before."""
        claim = Claim(key * 32, asked * 32)
        one = self.new(tenant)
        earlier = self.claims.setdefault((tenant, key), [])
        try:
            kept = self.run(self.workers[worker].put_once(one, claim))
        except IdempotencyKeyReusedError:
            assert any(digest != claim.request_digest for digest, _ in earlier)
            return
        except StoreUnavailableError:
            # The key has a record in the spool, and of that the store would have to tell.
            assert self.remote.mode != "up"
            return
        if kept.id == one.id:
            # While the store is away nobody here knows what it has: then a key may have several.
            self.model[tenant, one.id] = one
            earlier.append((claim.request_digest, one.id))
        else:
            assert (claim.request_digest, kept.id) in earlier
            assert self.listed(kept) == self.listed(self.model[tenant, kept.id])

    @rule(worker=workers, tenant=tenants, chosen=st.integers(0, 30), reason=st.sampled_from(["a", "b"]))
    def revoke(self, worker: int, tenant: str, chosen: int, reason: str) -> None:
        """An acknowledged revocation sticks, with its first reason; a refused one may have happened."""
        key = (tenant, record(chosen).id)
        try:
            found = self.run(
                self.workers[worker].revoke(*key, reason=reason, revoked_by="me", now_ms=self.number)
            )
        except StoreUnavailableError:
            assert self.remote.mode != "up"
            if self.remote.mode == "lost" and key in self.model:
                self.doubtful.add(key)
            return
        before = self.model.get(key)
        if before is None:
            assert found is None
            return
        assert found is not None
        assert found.revoked_at_ms is not None
        if before.revoked_at_ms is None:
            changes = {
                name: getattr(found, name) for name in ("revoked_at_ms", "revoked_by", "revoked_reason")
            }
            if key not in self.doubtful:
                assert changes["revoked_reason"] == reason
            self.model[key] = msgspec.structs.replace(before, **changes)
            self.doubtful.discard(key)
        else:
            assert self.listed(found) == self.listed(before)

    @rule(worker=workers, tenant=tenants, chosen=st.integers(0, 30))
    def get(self, worker: int, tenant: str, chosen: int) -> None:
        """What was acknowledged is found as it is, or there is an error; never nothing."""
        key = (tenant, record(chosen).id)
        try:
            found = self.run(self.workers[worker].get(*key))
        except StoreUnavailableError:
            assert self.remote.mode != "up"
            return
        assert found is None or found.stale == (self.remote.mode != "up")
        self.compare(key, found)

    @rule(worker=workers, tenant=tenants)
    def get_many(self, worker: int, tenant: str) -> None:
        """Likewise of many; what is not known is an error as a whole."""
        ids = [record(number).id for number in range(30)]
        try:
            found = dict(self.run(self.workers[worker].get_many(tenant, ids, with_payload=True)))
        except StorePartlyUnavailableError as error:
            assert self.remote.mode != "up"
            for one in error.known.values():
                assert isinstance(one, Record)
                self.compare((tenant, one.id), one)
            return
        except StoreUnavailableError:
            assert self.remote.mode != "up"
            return
        for record_id in ids:
            looked_up = found.get(record_id)
            assert not isinstance(looked_up, Exception)
            self.compare((tenant, record_id), looked_up)

    @rule(worker=workers, tenant=tenants, limit=st.integers(1, 5), status=statuses)
    def walk(self, worker: int, tenant: str, limit: int, status: Status | None) -> None:
        """Walking the pages shows each record of the status once; or is marked stale."""
        expected = {
            one.id: one
            for (owner, _), one in self.model.items()
            if owner == tenant and status in {None, one.status(10)}
        }
        doubtful = {record_id for owner, record_id in self.doubtful if owner == tenant}
        walked: list[Record] = []
        before, stale = None, False
        while True:
            listing = self.run(
                self.workers[worker].list(
                    tenant, limit=limit, before=before, status=status, now_ms=10, with_payload=True
                )
            )
            walked += records_of(listing)
            stale = stale or listing.stale
            if len(listing.records) < limit:
                break
            before = walked[-1].id
        assert stale == (self.remote.mode != "up")
        ids = [one.id for one in walked]
        assert ids == sorted(set(ids), reverse=True)
        for one in walked:
            if one.id not in doubtful:
                assert one.id in expected
                self.compare((tenant, one.id), one)
        if not stale:
            assert expected.keys() - set(ids) <= doubtful

    @rule(worker=workers)
    def die(self, worker: int) -> None:
        """A worker dies, and another takes its place."""
        self.run(self.workers[worker].close())
        self.workers[worker] = self.open()

    @rule(worker=workers)
    def forward(self, worker: int) -> None:
        """While the store is there, everything is forwarded."""
        store = self.workers[worker]

        async def work() -> None:
            store.start()
            if self.remote.mode == "up":
                await until_empty(store)
            else:
                await asyncio.sleep(0.02)
            await store._forwarder.close()

        self.run(work())
        self.die(worker)

    def compare(self, key: tuple[str, str], found: Record | None) -> None:
        """What was found is what was acknowledged; but for revocations that nobody knows of."""
        expected = self.model.get(key)
        if expected is None or found is None:
            assert found is expected
        elif key in self.doubtful:
            assert self.made(found) == self.made(expected)
        else:
            assert msgspec.structs.replace(found, stale=False) == expected

    @staticmethod
    def listed(one: Record) -> Record:
        """As a listing shows it."""
        return msgspec.structs.replace(one, payload=None, stale=False)

    @staticmethod
    def made(one: Record) -> Record:
        """As it was made."""
        return msgspec.structs.replace(
            one, revoked_at_ms=None, revoked_by=None, revoked_reason=None, stale=False
        )

    def teardown(self) -> None:
        """Everything arrives, in order, once."""
        self.remote.mode = "up"
        self.forward(0)
        for worker in self.workers:
            assert worker.rejected == 0
            self.run(worker.close())
        for (tenant, record_id), one in self.model.items():
            self.compare((tenant, record_id), self.run(self.remote.store.get(tenant, record_id)))
            effects = self.remote.effects
            assert ("put", tenant, one.id) in effects
            if ("revoke", tenant, one.id) in effects:
                assert effects.index(("put", tenant, one.id)) < effects.index(("revoke", tenant, one.id))
        counts = self.run(self.remote.store.count())
        assert sum(counts.values()) == len(self.model)
        self.run(self.remote.store.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


TestSpoolModel = SpoolMachine.TestCase
TestSpoolModel.settings = settings(
    max_examples=300 if HEAVY else 4,
    stateful_step_count=50 if HEAVY else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
