"""What processes use, every five seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from soak.results import SAMPLES, Sample, append

SAMPLE_SECONDS: Final = 5.0


class Watched(NamedTuple):
    """A process to be sampled; ``database``: the store that it speaks for."""

    name: str
    pid: int
    database: Path | None = None


def sample(
    name: str, process: psutil.Process, *, database: Path | None = None, lag_seconds: float | None = None
) -> Sample:
    """What a process uses now.

    Raises:
        psutil.Error: it has ended.
    """
    with process.oneshot():
        times = process.cpu_times()
        return Sample(
            at=time.time(),
            process=name,
            pid=process.pid,
            resident_bytes=process.memory_info().rss,
            descriptors=process.num_fds(),
            threads=process.num_threads(),
            cpu_seconds=times.user + times.system,
            database_bytes=None if database is None else database_bytes(database),
            lag_seconds=lag_seconds,
        )


def database_bytes(path: Path) -> int:
    """The size of an SQLite database with its log; 0 if there is none."""
    total = 0
    for one in (path, path.with_name(f"{path.name}-wal")):
        try:
            total += one.stat().st_size
        except FileNotFoundError:
            continue
    return total


class Sampler:
    """Samples processes in a thread of its own, until it is closed."""

    def __init__(self, folder: Path, watched: Callable[[], Iterable[Watched]]) -> None:
        """Begin; ``watched`` is asked each time which processes there are."""
        self._folder = folder
        self._watched = watched
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due += SAMPLE_SECONDS
            for name, pid, database in self._watched():
                try:
                    taken = sample(name, psutil.Process(pid), database=database)
                except psutil.Error:
                    continue
                append(self._folder, SAMPLES, taken)
