"""Turns at a lock, among processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: A process that is frozen in its turn holds the others up no longer than this, each time.
_LONGEST_WAIT: Final = 0.5
_PAUSE: Final = 0.0005


class Turns:
    """A place in front of a lock, for one process at a time: whoever has it takes the lock next.

    SQLite lets a process that waits for its lock sleep, longer from time to time, while the one that has
    just given it back takes it again: under load some wait for seconds. Here, whoever
    gives the lock back finds the place before it taken. It is only a courtesy: the lock itself
    is SQLite's.

    The place is a lock of the database's folder, so there is no file more. The system gives it back when
    a process ends.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder.

        Raises:
            OSError: it cannot be opened.
        """
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def next(self) -> Iterator[None]:
        """Have the place, or have waited for it long enough."""
        give_up_at = time.monotonic() + _LONGEST_WAIT
        while not (mine := self._take()) and time.monotonic() < give_up_at:
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            if mine:
                fcntl.flock(self._folder, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the folder. May be called again."""
        folder, self._folder = self._folder, -1
        if folder >= 0:
            os.close(folder)

    def _take(self) -> bool:
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # taken, or a file system without such locks
            return False
        return True
