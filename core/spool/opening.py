"""Opening the spool that the settings name, and finding one that they name no longer."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from core.errors import StoreSchemaError, StoreUnavailableError
from core.settings_loading import SettingsError
from core.spool.bounds import Bounds
from core.spool.spool import Spool


class SpoolUnusableError(Exception):
    """The spool cannot be used now. The message begins with the variable that names it."""


def open_spool(path: Path, bounds: Bounds, *, data_dir: Path) -> Spool:
    """The spool in a file. Its folder is made if it is the data folder.

    Raises:
        SettingsError: the place cannot be a spool's, or the file is something else.
        SpoolUnusableError: it cannot be opened now.
    """
    if path.is_dir():
        raise SettingsError([f"DNASTORE_SPOOL: {path}: a folder; a file is expected"])
    if path.parent != data_dir and not path.parent.is_dir():
        raise SettingsError([f"DNASTORE_SPOOL: {path}: there is no folder {path.parent}"])
    try:
        return Spool.open(path, bounds=bounds)
    except StoreSchemaError as error:
        raise SettingsError([f"DNASTORE_SPOOL: {path}: {error}"]) from None
    except StoreUnavailableError as error:
        raise SpoolUnusableError(f"DNASTORE_SPOOL: {path}: cannot be used: {error.reason}") from None
    except OSError as error:
        raise SpoolUnusableError(f"DNASTORE_SPOOL: {path}: {error.strerror or error}") from None
    except sqlite3.Error as error:
        raise SpoolUnusableError(f"DNASTORE_SPOOL: {path}: {error}") from None


def forgotten(path: Path) -> int | None:
    """How many acknowledged writes lie in a spool that nobody opens; None if that cannot be told.

    Waiting ones and rejected ones. 0 where there is no spool.
    """
    try:
        if not path.is_file():
            return 0
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA query_only = ON")
            found = connection.execute("SELECT writes + rejected FROM spool_totals").fetchone()
    except (OSError, sqlite3.Error):
        return None
    return None if found is None else int(found[0])
