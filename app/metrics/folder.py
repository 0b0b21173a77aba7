"""The folder in memory through which the metrics of several processes come together."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from core.private_folders import PrivateFolder

_PREFIX: Final = "sigil-metrics-"
#: The files that there will be, and bytes that are set aside for each. A sample takes 100 to 200. There are
#: as many as routes, methods and statuses, but no more: a histogram has 17 samples for each of its children.
_KINDS: Final = {
    "counter": 1 << 18,
    "gauge_livemax": 1 << 16,
    "gauge_livemin": 1 << 16,
    "gauge_livesum": 1 << 16,
    "histogram": 2 << 20,
}
#: Of prometheus_client's gauges that have no say for the dead.
_LIVE_MODES: Final = ("liveall", "livemin", "livemax", "livesum", "livemostrecent")


class MetricsFolder:
    """A folder of files, one set for each place that workers fill one after the other.

    A worker goes on with the counters of the one whose place it takes: none goes backwards, and there are
    never more files than places.
    """

    def __init__(self) -> None:
        """Make an empty folder.

        Raises:
            OSError: it cannot be made.
        """
        self._folder = PrivateFolder(_PREFIX)
        self.path = self._folder.path

    def prepare(self, place: int) -> None:
        """Make the files of a place, and set room aside: writing where there is none kills a process.

        Raises:
            OSError: there is no room.
        """
        self.forget_gauges(place)
        for kind, size in _KINDS.items():
            file = os.open(self.path / f"{kind}_{place}.db", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(file, 0, size)
            finally:
                os.close(file)

    def forget_gauges(self, place: int) -> None:
        """Remove what only a living worker can say; counters stay. Needs no descriptor, and never fails."""
        for mode in _LIVE_MODES:
            with contextlib.suppress(OSError):  # mostly because there is none
                (self.path / f"gauge_{mode}_{place}.db").unlink()

    def remove(self) -> None:
        """Remove the folder, when no other process uses it."""
        self._folder.remove()
