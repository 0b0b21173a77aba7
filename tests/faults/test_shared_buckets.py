"""Processes that hammer one shared table of token buckets, and are killed in the middle of it."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

import pytest

from sigil_native._bucket import TokenBucket
from tests.heavy import HEAVY

KILLS: Final = 500 if HEAVY else 4
PROCESSES: Final = 8 if HEAVY else 4
#: So few that all of them meet, and that new keys fight for the places of old ones.
KEYS: Final = [f"key {number}" for number in range(40)]
#: A bucket is soon full, so that its entry passes to another key thousands of times.
RATE: Final = 2000.0
BURST: Final = 4
_FORK: Final = multiprocessing.get_context("fork")


def _hammer(path: Path, counts: memoryview[int], seed: int) -> None:
    """Ask until killed. A death between a grant and its count hides that one grant."""
    bucket = TokenBucket(RATE, BURST, capacity=8, path=path)
    chosen = random.Random(seed)
    while True:
        key = chosen.randrange(len(KEYS))
        if bucket.acquire(KEYS[key]):
            counts[key] += 1


def _start(path: Path, seed: int) -> tuple[BaseProcess, memoryview[int]]:
    counts = memoryview(mmap.mmap(-1, 8 * len(KEYS))).cast("q")  # shared with the fork
    process = _FORK.Process(target=_hammer, args=(path, counts, seed), daemon=True)
    process.start()
    return process, counts


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table in shared memory, where there is such a folder."""
    folder = Path("/dev/shm")  # noqa: S108
    return (folder if folder.is_dir() else tmp_path) / f"sigil-test-{os.getpid()}.buckets"


def test_killed_processes_leave_a_table_that_is_right(table: Path) -> None:
    """Wherever they die, no key gets more than its bucket holds and what comes back."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chosen = random.Random(seed)
    began = time.monotonic()
    everybody = []
    try:
        running = [_start(table, chosen.randrange(1 << 32)) for _ in range(PROCESSES)]
        everybody += running
        for _ in range(KILLS):
            time.sleep(chosen.uniform(0.001, 0.03))
            place = chosen.randrange(PROCESSES)
            process, _ = running[place]
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            running[place] = _start(table, chosen.randrange(1 << 32))
            everybody.append(running[place])
        # The survivors go on.
        for _, counts in running:
            before = sum(counts)
            while sum(counts) == before:
                assert time.monotonic() < began + 200
                time.sleep(0.01)
    finally:
        for process, _ in everybody:
            if process.is_alive():
                process.kill()
            process.join()
        span = time.monotonic() - began
        table.unlink(missing_ok=True)
    granted = [sum(column) for column in zip(*(counts for _, counts in everybody), strict=True)]
    print(f"{KILLS} killed, {sum(granted)} granted in {span:.2f} s, most of one key {max(granted)}")
    assert all(count <= BURST + RATE * span for count in granted)
    assert min(granted) > 0
