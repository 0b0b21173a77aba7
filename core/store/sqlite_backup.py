"""Copies of an SQLite database that is in use."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from core.errors import BackupError

#: Is told, from the thread that copies, how many pages are copied, and of how many. What it raises ends
#: the copy.
Progress = Callable[[int, int], None]

#: Pages of one step (4 KiB each): the copy lets others at the disk in between.
_STEP_PAGES: Final = 1024


def back_up(database: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it stands now into a new file, while others read and write it.

    The copy is one file, for its owner alone, checked and on disk when it has its name.
    While it is made, the database's log cannot be cleared and grows by what is written meanwhile.

    Raises:
        FileExistsError: there is such a file already.
        BackupError: the copy cannot be made, or the database is damaged.
        OSError: the file cannot be made.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _copy(database, partial, progress)
        os.fsync(descriptor)
        # Unlike a rename, this refuses a file that has come there since.
        os.link(partial, target)
        _sync_folder(target.parent)
    except sqlite3.Error as error:
        raise BackupError(f"{target}: the backup cannot be made: {error}") from None
    finally:
        os.close(descriptor)
        for leftover in (partial, partial.with_name(f"{partial.name}-journal")):
            with suppress(FileNotFoundError):
                leftover.unlink()


def _copy(database: Path, partial: Path, progress: Progress) -> None:
    # Opened for writing, as a reader that cannot write could not use a log that nobody else has open.
    source_uri = f"{database.absolute().as_uri()}?mode=rw"
    with (
        closing(sqlite3.connect(source_uri, uri=True, isolation_level=None)) as source,
        closing(sqlite3.connect(partial, isolation_level=None)) as copy,
    ):
        # Synced at the end, as a whole.
        copy.execute("PRAGMA synchronous = OFF")
        # One snapshot: else each write of others would make the copy begin again.
        source.execute("PRAGMA query_only = ON")
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()

        def stepped(_: int, remaining: int, total: int) -> None:
            progress(total - remaining, total)

        source.backup(copy, pages=_STEP_PAGES, progress=stepped)
        source.execute("COMMIT")
        # The log belongs to databases in use; the copy is one file.
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise BackupError(f"{database}: the database is damaged: {found}")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
