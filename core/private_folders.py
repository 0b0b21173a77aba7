"""Folders in memory through which the processes of one service meet."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

#: Memory that looks like a folder.
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - every folder that is made in it is private
_LOCK: Final = "lock"


class PrivateFolder:
    """A new folder with mode 0700, for as long as its service lives.

    Whoever makes it holds a lock in it, and so do the processes that are forked from there. A folder whose
    lock is free was left by a service that was killed; the next one removes it.

    Attributes:
        path: of the folder.
    """

    def __init__(self, prefix: str, place: Path | None = None) -> None:
        """Make a folder, and remove those that were left.

        Args:
            prefix: what the names of such folders begin with.
            place: the folder around it, made if need be; shared memory by default, or else where temporary
                files are.

        Raises:
            OSError: it cannot be made.
        """
        if place is None:
            place = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_leftovers(place, prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        self._owner = os.getpid()
        try:
            # Locked before it has its name: whoever looks for leftovers finds it locked.
            new = self.path / "new"
            self._lock = os.open(new, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            new.rename(self.path / _LOCK)
        except BaseException:  # a stop, maybe: without the lock's name nobody would find it
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Remove it. In a process that was forked, let go of it only."""
        if os.getpid() == self._owner:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_leftovers(place: Path, prefix: str) -> None:
    for path in place.glob(f"{prefix}*/{_LOCK}"):
        # Somebody else's, or just removed by another process.
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
            finally:
                os.close(lock)
