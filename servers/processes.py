"""Processes that tests hold up."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def freeze(pid: int) -> None:
    """Stop a process where it is, and wait until all its threads have stopped.

    They go on until the one that takes the signal is run, which a busy machine may put off.
    """
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 20
    while any(_state(stat) != "T" for stat in Path(f"/proc/{pid}/task").glob("*/stat")):
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.001)


def _state(stat: Path) -> str:
    """The letter after the name, in which there may be brackets (proc(5))."""
    return stat.read_text().rpartition(") ")[2][0]
