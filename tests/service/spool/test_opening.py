"""What is said of a spool that cannot be used, or that nobody uses."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
import structlog
from click.testing import CliRunner, Result

from app.cli import main
from app.outages import Outages
from app.server.failures import StartFailedError, explained
from app.stores import with_spool
from core.errors import StoreUnavailableError
from core.settings import load_settings
from core.settings_loading import SettingsError
from core.spool.opening import open_spool
from core.spool.spool import Spool
from core.store.observation import NoStoreObserver
from tests.service.running import Service, clean_environment
from tests.service.spool.switch import LARGE, Switch, spooled, sql_store
from tests.service.store.store_records import record


async def waiting(folder: Path) -> None:
    """Leave a spool in which a write waits."""
    switch = Switch(sql_store(folder))
    switch.mode = "down"
    store = spooled(switch, folder)
    await store.put([record(1)])
    await store.close()
    await switch.store.close()


def text(path: Path) -> None:
    """A file that is no database."""
    path.write_text("no database " * 100)


def another(path: Path) -> None:
    """Another program's database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (c)")


@pytest.mark.parametrize("make", [text, another, Path.mkdir])
def test_what_is_no_spool(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """The variable and the path are named, as a mistake in the settings."""
    make(path := tmp_path / "s.db")
    with pytest.raises(SettingsError, match=f"^DNASTORE_SPOOL: {path}: "):
        open_spool(path, LARGE, data_dir=tmp_path / "data")


def test_a_place_without_a_folder(tmp_path: Path) -> None:
    """Only the data folder is made; that of a path that was given must be there."""
    with pytest.raises(SettingsError, match=r"^DNASTORE_SPOOL: .*there is no folder"):
        open_spool(tmp_path / "missing" / "s.db", LARGE, data_dir=tmp_path / "data")
    assert not (tmp_path / "missing").exists()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (StoreUnavailableError("locked"), "cannot be used: locked"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (sqlite3.OperationalError("database is locked"), "database is locked"),
    ],
)
def test_what_cannot_be_used_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str
) -> None:
    """It is no mistake in the settings; the variable and the path are named all the same."""
    monkeypatch.setattr(Spool, "open", Mock(side_effect=error))
    path = tmp_path / "s.db"
    with pytest.raises(StartFailedError, match=f"^DNASTORE_SPOOL: {path}: {cause}$") as failure, explained():
        open_spool(path, LARGE, data_dir=tmp_path)
    assert failure.value.exit_code == 69


async def test_a_spool_that_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start without DNASTORE_SPOOL tells of writes that wait in the data folder; one of none is silent."""
    for name in list(os.environ):
        if name not in clean_environment():
            monkeypatch.delenv(name)
    monkeypatch.setenv("SIGIL_DATA_DIR", str(tmp_path))
    settings = load_settings("development")
    switch = Switch(sql_store(tmp_path))
    with structlog.testing.capture_logs() as logs:
        assert with_spool(switch, settings, Outages(NoStoreObserver(), spool=False)) is None
        assert logs == []
        await waiting(tmp_path)
        logs.clear()
        assert with_spool(switch, settings, Outages(NoStoreObserver(), spool=False)) is None
    (line,) = logs
    assert (line["log_level"], line["path"], line["writes"]) == ("error", str(tmp_path / "spool.db"), 1)
    assert "DNASTORE_SPOOL=" in line["remedy"]
    await switch.store.close()


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """It is a mistake in the settings, and its variable is named."""
    service = Service(tmp_path)
    service.data_dir = Path("/proc/nope")
    code, said = service.start_in_vain()
    assert code == 78
    assert "SIGIL_DATA_DIR: /proc/nope: " in said


def exported(folder: Path, file: Path) -> Result:
    """What ``python -m app store spool export`` says of the spool in a folder."""
    settings = SimpleNamespace(data_dir=folder, spool_bounds=LARGE, spool_file=lambda _: folder / "spool.db")
    with patch("app.spool_commands.load_settings", return_value=settings):
        return CliRunner().invoke(main, ["store", "spool", "export", str(file)])


async def test_an_export_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, nothing is left of it, and the next attempt works."""
    await waiting(tmp_path)
    (folder := tmp_path / "export").mkdir()
    full = Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        failed = await asyncio.to_thread(exported, tmp_path, folder / "x")
    assert (failed.exit_code, list(folder.iterdir())) == (69, [])
    assert f"{folder / 'x'}: No space left on device" in failed.output
    again = await asyncio.to_thread(exported, tmp_path, folder / "x")
    assert (again.exit_code, again.output) == (0, f"1 writes in {folder / 'x'}\n")
    assert [file.name for file in folder.iterdir()] == ["x"]
    assert (await asyncio.to_thread(exported, tmp_path, folder / "x")).exit_code == 69
