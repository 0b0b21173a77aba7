"""Backups of a store that is in use."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import BackupError
from core.store.sql_store import SqlStore
from tests.service.store.store_records import record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    """An open store of about twelve megabytes."""
    opened = SqlStore.open(f"sqlite:///{tmp_path / 'sigils.db'}")
    await opened.put([record(number, payload=bytes(100_000)) for number in range(120)])
    yield opened
    await opened.close()


def files(folder: Path) -> list[str]:
    """What is there."""
    return sorted(file.name for file in folder.iterdir())


async def test_backup_while_others_write(store: SqlStore, folder: Path) -> None:
    """What was acknowledged before is in the copy, nobody waits for it, and it is a store of its own."""
    steps: list[tuple[int, int]] = []
    writing = True

    async def write() -> int:
        number = 1000
        while writing:
            await store.put([record(number, payload=bytes(10_000))])
            number += 1
        return number - 1000

    written = asyncio.create_task(write())
    await asyncio.sleep(0)
    await store.backup(folder / "copy.db", lambda done, total: steps.append((done, total)))
    writing = False
    assert await written > 0
    assert steps[-1][0] == steps[-1][1]
    assert steps == sorted(steps)
    assert len(steps) > 2
    assert files(folder) == ["copy.db"]
    assert stat.S_IMODE((folder / "copy.db").stat().st_mode) == 0o600
    copy = SqlStore.open(f"sqlite:///{folder / 'copy.db'}")
    for number in range(120):
        assert await copy.get("acme", record(number).id) == record(number, payload=bytes(100_000))
    await copy.put([record(5000)])
    await copy.close()


async def test_what_is_there_stays(store: SqlStore, folder: Path) -> None:
    """A file that is there, or comes there meanwhile, is left as it is, and nothing is left over."""
    path = folder / "copy.db"
    path.write_text("precious")
    with pytest.raises(FileExistsError):
        await store.backup(path)
    path.unlink()

    def come(*_: int) -> None:
        path.write_text("precious")

    with pytest.raises(FileExistsError):
        await store.backup(path, come)
    assert path.read_text() == "precious"
    assert files(folder) == ["copy.db"]


async def test_an_ended_backup(store: SqlStore, folder: Path) -> None:
    """A copy that its caller ends leaves nothing behind, and the store goes on."""

    def end(done: int, total: int) -> None:
        raise KeyboardInterrupt if done == total else RuntimeError

    with pytest.raises(RuntimeError):
        await store.backup(folder / "copy.db", end)
    assert files(folder) == []
    await store.put([record(1000)])


async def test_a_damaged_database(store: SqlStore, folder: Path, tmp_path: Path) -> None:
    """A database that is damaged gives no backup that would look like one."""
    with sqlite3.connect(tmp_path / "sigils.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root, size = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size)"
            " FROM sqlite_schema WHERE name = 'sigils_by_id'"
        ).fetchone()
    connection.close()
    descriptor = os.open(tmp_path / "sigils.db", os.O_WRONLY)
    os.pwrite(descriptor, b"\xff" * 64, (root - 1) * size + 3)
    os.close(descriptor)
    with pytest.raises(BackupError):
        await store.backup(folder / "copy.db")
    assert files(folder) == []


async def test_postgresql_makes_its_own(postgres_url: str, folder: Path) -> None:
    """Of PostgreSQL the caller hears what to use instead."""
    store = SqlStore.open(postgres_url)
    with pytest.raises(BackupError, match="pg_dump"):
        await store.backup(folder / "copy")
    await store.close()
