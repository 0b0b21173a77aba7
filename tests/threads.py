"""Whether other threads run while compiled code works."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable


def ticks_meanwhile(work: Callable[[], object]) -> int:
    """How often another thread got its turn while ``work`` ran; few if it held the GIL."""
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)  # a held GIL is not taken away meanwhile
    try:
        thread.start()
        work()
        return ticks
    finally:
        done.set()
        sys.setswitchinterval(interval)
        thread.join()
