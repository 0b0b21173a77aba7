"""A spool on a disk that is full: it says so, loses nothing, and is emptied without more room."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from core.errors import StoreUnavailableError
from core.spool.room import Room
from core.spool.spooled_store import SpooledStore
from tests.faults.test_databases import killed, small_disk
from tests.service.spool.switch import Switch, spooled, sql_store, until, until_empty
from tests.service.store.store_records import record, record_id

PAYLOADS: Final = (b'"' + b"x" * 300 + b'"', b'"' + b"x" * 30_000 + b'"')
on_small_disks = pytest.mark.skipif(os.geteuid() != 0, reason="makes file systems, which only root can")


def fill_with_another(file: Path) -> None:
    """Leave no byte of a disk."""
    with suppress(OSError), file.open("wb", buffering=0) as output:
        while True:
            output.write(bytes(100))


async def fill(store: SpooledStore, payload: bytes, first: int = 1) -> list[int]:
    """Put until nothing more is taken, and as often again; the numbers that were kept."""
    kept: list[int] = []
    reasons, refused = set(), 0
    for number in itertools.count(first):
        try:
            await store.put([record(number, payload=payload)])
        except StoreUnavailableError as error:
            reasons.add(error.reason)
            refused += 1
            if refused > 20:
                break
        else:
            kept.append(number)
    assert reasons == {"full"}
    return kept


def fill_until_killed(remote: Path, disk: Path, payload: bytes, sending: Any) -> None:
    """Fill a spool, tell what is in it, and wait."""

    async def work() -> None:
        switch = Switch(sql_store(remote))
        switch.mode = "down"
        store = spooled(switch, disk)
        sending.send(await fill(store, payload))
        await asyncio.sleep(60)

    asyncio.run(work())


async def empties(switch: Switch, store: SpooledStore, kept: list[int]) -> None:
    """When the store is back everything arrives, and encodes go on; more than once."""
    store.start()
    for _ in range(2):
        assert store.condition == "full"
        switch.mode = "up"
        await until_empty(store)
        assert sorted(set(switch.effects)) == [("put", "acme", record_id(number)) for number in kept]
        switch.mode = "down"
        more = await fill(store, PAYLOADS[0], kept[-1] + 1000)
        assert len(more) > 50
        kept += more
    switch.mode = "up"
    await until_empty(store)
    await store.close()
    await switch.store.close()


@pytest.mark.heavy("makes file systems")
@on_small_disks
@pytest.mark.parametrize("payload", PAYLOADS, ids=["small", "large"])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "among others"])
async def test_filled(tmp_path: Path, payload: bytes, *, others: bool) -> None:
    """It says that it is full, the log once; with the store back it is emptied on the disk as it is."""
    with small_disk(tmp_path / "disk", "2m"):
        switch = Switch(sql_store(tmp_path))
        switch.mode = "down"
        store = spooled(switch, tmp_path / "disk")
        with structlog.testing.capture_logs() as logs:
            kept = await fill(store, payload)
            assert len(kept) > 10
            with pytest.raises(StoreUnavailableError, match="full"):
                await store.probe()
        assert [one["event"] for one in logs if "disk" in one["event"]] == [
            "the spool's disk takes nothing more"
        ]
        if others:
            fill_with_another(tmp_path / "disk" / "others")
            assert await fill(store, payload, 100_000) == []
            store.start()
            switch.mode = "up"
            await until(lambda: not store._spool.state().writes)
            await until_empty(store)
            (tmp_path / "disk" / "others").unlink()
            switch.mode = "down"
            kept += await fill(store, payload, 200_000)
        await empties(switch, store, kept)


@pytest.mark.heavy("makes file systems")
@on_small_disks
@pytest.mark.parametrize("payload", PAYLOADS, ids=["small", "large"])
@pytest.mark.parametrize("moved", [False, True], ids=["in place", "without its index"])
async def test_killed_when_full(tmp_path: Path, payload: bytes, *, moved: bool) -> None:
    """A process that is killed there loses nothing; the next one empties the spool on the disk as it is."""
    (tmp_path / "first").mkdir()
    with small_disk(tmp_path / "disk", "2m"):
        with killed(fill_until_killed, tmp_path / "first", tmp_path / "disk", payload, after=0.1) as said:
            (kept,) = said
        if moved:
            (tmp_path / "disk" / "spool.db-shm").unlink()
            fill_with_another(tmp_path / "disk" / "others")
        switch = Switch(sql_store(tmp_path))
        switch.mode = "down"
        store = spooled(switch, tmp_path / "disk")
        if moved:
            (tmp_path / "disk" / "others").unlink()
        kept += await fill(store, payload, 100_000)
        assert shutil.disk_usage(tmp_path / "disk").free < 1 << 20
        await empties(switch, store, kept)


async def test_what_is_kept_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for a record nothing is taken and the probe says full; with the store back all arrives."""
    switch = Switch(sql_store(tmp_path))
    switch.mode = "down"
    store = spooled(switch, tmp_path)
    await store.put([record(1)])
    reserve = tmp_path / "spool.db.reserve"
    assert reserve.stat().st_blocks * 512 >= reserve.stat().st_size > 0
    monkeypatch.setattr(Room, "fits", lambda *_: False)
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.put([record(2)])
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.probe()
    conditions = [store.condition]
    monkeypatch.undo()
    await store.probe()
    conditions.append(store.condition)
    assert conditions == ["full", "waiting"]
    switch.mode = "up"
    store.start()
    await until_empty(store)
    await store.close()
    await switch.store.close()
