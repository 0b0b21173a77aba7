"""A lock that one process of this host has at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class HostLock:
    """A lock on a file of its own. The system gives it back when the process ends, whatever ends it."""

    def __init__(self, path: Path) -> None:
        """Make the file, for its owner alone.

        Raises:
            OSError: it cannot be made or opened.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self) -> bool:
        """Have the lock, unless another process has it. Never waits."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def give_back(self) -> None:
        """Let others have it; where it is closed, they do already."""
        if self._file >= 0:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it back for good. May be called again."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
