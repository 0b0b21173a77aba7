"""Room on the disk that is kept back, so that a spool can be emptied however full the disk is."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_PAGE: Final = 4096
#: Bytes kept back: so many, or this part of a small file system.
_MOST: Final = 4 << 20
_PART: Final = 4
#: Bytes that a write takes beside its own: pages of the tables, indexes and totals.
_BESIDE: Final = 64 << 10
_LOCK_WAIT_MS: Final = 2000


class Room:
    """A file beside the spool that takes room on the disk, and gives it back when nothing else is left.

    SQLite deletes by writing: what is taken out goes through its log, and the log into the database. On a
    full disk neither works. So half of what is kept back bounds the log, which can always be folded in then.
    New writes are refused while the room is not kept, or would not be for long. For a large write more is
    kept, until the spool is empty: to delete it takes as much as it has.
    """

    def __init__(self, spool: Path) -> None:
        """Look at the file system; nothing is written."""
        self._spool = spool
        self._path = Path(f"{spool}.reserve")
        found = os.statvfs(spool.parent)
        self.size = min(_MOST, found.f_blocks * found.f_frsize // _PART) // _PAGE * _PAGE

    @property
    def log_pages(self) -> int:
        """Pages of SQLite's log after which it is to be folded into the database."""
        return max(self.size // 2 // _PAGE, 1)

    def fits(self, size: int, together: int = 0) -> bool:
        """Whether a write can be appended, with others in its transaction, and the room still be kept.

        Costs microseconds.

        Args:
            size: of the write, in bytes.
            together: bytes of the others.
        """
        try:
            found = os.statvfs(self._spool.parent)
        except OSError:
            return False
        # Once in the log and once in the database.
        needed = self._wanted(size) - self._taken() + 2 * (together + size) + _BESIDE
        return found.f_bavail * found.f_frsize >= needed

    def take(self, size: int = 0, *, more: int = 0) -> bool:
        """Keep the room; whether that is possible, and ``more`` bytes could be had beside it.

        In the write transaction, where no other process of the host writes.

        Args:
            size: of a write that is to be deleted once.
            more: bytes that are given back at once.
        """
        wanted = self._wanted(size)
        if not more and self._taken() >= wanted:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            # All of it: a file that was cut short by a full disk has holes, maybe.
            os.posix_fallocate(file, 0, wanted + more)
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(file, wanted)
            os.close(file)
        return True

    def keep_little(self) -> None:
        """Nothing large waits any more."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_size > self.size:
                os.truncate(self._path, self.size)

    def release(self) -> None:
        """Give the room back, for what makes room."""
        if not self._taken():
            return
        with contextlib.suppress(OSError):
            os.truncate(self._path, 0)
        _log.warning(
            "disk is full, room that was kept back is used to empty the spool", path=str(self._spool)
        )

    def fold(self) -> bool:
        """Fold SQLite's log into the database, and give its room back; whether that was possible. Blocks."""
        try:
            with contextlib.closing(sqlite3.connect(self._spool, isolation_level=None)) as connection:
                connection.execute(f"PRAGMA busy_timeout = {_LOCK_WAIT_MS}")
                connection.execute("PRAGMA synchronous = FULL")
                busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error:
            return False
        return not busy

    def _wanted(self, size: int) -> int:
        try:
            there = self._path.stat().st_size
        except OSError:
            there = 0
        return max(self.size, there, self.size // 2 + 2 * size)

    def _taken(self) -> int:
        try:
            found = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116 - before every write
        except OSError:
            return 0
        return min(found.st_size, found.st_blocks * 512)
