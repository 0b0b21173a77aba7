"""Retention: old records go, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import StoreUnavailableError
from core.store.retention import Retention, first_id_of
from core.store.sql_store import SqlStore
from sigil_native import KeyRing, SigilCodec
from tests.service.api.in_process import InProcess
from tests.service.store.store_records import entry, record, record_id

DAY = 86_400_000
NOW = time.time_ns() // 1_000_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    """An open store."""
    opened = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    yield opened
    await opened.close()


def test_boundary() -> None:
    """Every sigil of a millisecond is on the same side of the boundary, that of those that come later."""
    ring = KeyRing()
    ring.add("s" * 32)
    codec = SigilCodec(ring)
    for _ in range(100):
        sigil = codec.decode(codec.encode_json(b"{}", tenant="acme"))
        assert first_id_of(sigil.issued_at_ms) <= sigil.id < first_id_of(sigil.issued_at_ms + 1)
    assert first_id_of(5) == record_id(5)


async def test_what_goes_and_what_stays(store: SqlStore) -> None:
    """Of every tenant the records that are too old go, however many; younger ones and entries stay."""
    for tenant in ("acme", "other"):
        old = [record(NOW - 3 * DAY + n, tenant=tenant) for n in range(1200)]
        young = [record(NOW - DAY, tenant=tenant), record(NOW, tenant=tenant)]
        await store.put([*old, *young], [entry(1, tenant=tenant)])
    assert await Retention(store, 2, pause=0).purge() == 2400
    assert await store.count() == {"acme": 2, "other": 2}
    assert len(await store.entries("acme", after=None, limit=9)) == 1
    assert await Retention(store, 2).purge() == 0


async def test_failures_wait_for_the_next_round(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant that cannot be purged now holds up no other, and is purged when it can."""
    await store.put([record(1), record(1, tenant="other")])
    purge, away = store.purge, {"acme"}

    async def purge_if_there(tenant: str, *, before: str, limit: int) -> int:
        if tenant in away:
            raise StoreUnavailableError("locked")
        return await purge(tenant, before=before, limit=limit)

    monkeypatch.setattr(store, "purge", purge_if_there)
    async with Retention(store, 1, every=0.01, pause=0).at_work():
        while "other" in await store.count():  # noqa: ASYNC110 - another task purges
            await asyncio.sleep(0.01)
        assert await store.count() == {"acme": 1}
        away.clear()
        while await store.count():  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)


async def test_it_runs_while_the_service_does(tmp_path: Path) -> None:
    """Old records go as soon as the service serves, and not before."""
    application = InProcess(tmp_path, days=1)
    await application.store.put([record(1)])
    await asyncio.sleep(0.05)
    assert await application.store.count() == {"acme": 1}
    async with application.lifespan():
        while await application.store.count():  # noqa: ASYNC110 - another task purges
            await asyncio.sleep(0.01)
