"""Best-of timing of several callables in turn, so that all see the same machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

Callables = Mapping[str, Callable[[], object]]


def interleaved(callables: Callables, *, rounds: int, slice_seconds: float = 0.01) -> dict[str, float]:
    """Seconds of one call of each, the best of ``rounds`` slices taken in turn."""
    calls = {}
    for name, function in callables.items():
        function()
        start = time.perf_counter()
        function()
        calls[name] = max(1, int(slice_seconds / max(time.perf_counter() - start, 1e-9)))
    best = dict.fromkeys(callables, float("inf"))
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in callables.items():
                repetitions = range(calls[name])
                start = time.perf_counter()
                for _ in repetitions:
                    function()
                best[name] = min(best[name], (time.perf_counter() - start) / len(repetitions))
    finally:
        if collecting:
            gc.enable()
    return best
