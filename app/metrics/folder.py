"""The folder in memory through which the metrics of several processes come together."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - with folders of our own in it, closed to others
_PREFIX: Final = "sigil-metrics-"
_LOCK: Final = "lock"
#: The files that there will be, and how large prometheus_client makes them at first.
_KINDS: Final = ("counter", "gauge_livemax")
_FILE_BYTES: Final = 1 << 16
#: Of prometheus_client's gauges that have no say for the dead.
_LIVE_MODES: Final = ("liveall", "livemin", "livemax", "livesum", "livemostrecent")


class MetricsFolder:
    """A folder of files, one set for each place that workers fill one after the other.

    A worker goes on with the counters of the one whose place it takes: none goes backwards, and there are
    never more files than places. All processes hold the folder's lock, so that one whose lock is free has
    been left by a service that was killed; the next one removes it.
    """

    def __init__(self) -> None:
        """Make an empty folder.

        Raises:
            OSError: it cannot be made.
        """
        parent = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        _remove_leftovers(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Locked before it has its name: whoever looks for leftovers finds it locked.
        new = self.path / "new"
        self._lock = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self.path / _LOCK)

    def prepare(self, place: int) -> None:
        """Make the files of a place, and set room aside: writing where there is none kills a process.

        Raises:
            OSError: there is no room.
        """
        self.forget_gauges(place)
        for kind in _KINDS:
            file = os.open(self.path / f"{kind}_{place}.db", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(file, 0, _FILE_BYTES)
            finally:
                os.close(file)

    def forget_gauges(self, place: int) -> None:
        """Remove what only a living worker can say; counters stay. Needs no descriptor, and never fails."""
        for mode in _LIVE_MODES:
            with contextlib.suppress(OSError):  # mostly because there is none
                (self.path / f"gauge_{mode}_{place}.db").unlink()

    def remove(self) -> None:
        """Remove the folder; for the process that made it, when no other uses it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_leftovers(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        # Somebody else's, or just removed by another process.
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
            finally:
                os.close(lock)
