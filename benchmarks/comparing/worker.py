"""One side's process: builds rows and times slices of them, as it is told on its standard input.

A line of JSON in, a line out:

* ``{"prepare": ROW}`` → ``{"seconds": S, "items": N}`` of one call, or ``{"error": TEXT}``
* ``{"calls": N}`` → ``{"seconds": S}``, the processor time of N calls of the row that was prepared last
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.comparing.rows import Workload

Rows = Mapping[str, Callable[[], Workload]]


def load_rows(where: str) -> Rows:
    """The rows that ``MODULE:FUNCTION`` returns."""
    module, _, function = where.partition(":")
    rows: Rows = getattr(importlib.import_module(module), function)()
    return rows


def _timed(workload: Workload, calls: int) -> float:
    call = workload.call
    repetitions = range(calls)
    gc.disable()
    # Of all threads, and without the time that other programs take the core away.
    start = time.process_time_ns()
    for _ in repetitions:
        call()
    spent = time.process_time_ns() - start
    gc.enable()
    return spent / 1e9


def _prepared(rows: Rows, name: str) -> tuple[Workload, float]:
    workload = rows[name]()
    workload.call()
    gc.collect()
    gc.freeze()
    return workload, _timed(workload, 1)


def main() -> None:
    """Serve until the input ends: FOLDER ROWS CPU."""
    folder, where, cpu = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver says when it is over
    os.sched_setaffinity(0, {int(cpu)})
    answers, sys.stdout = sys.stdout, sys.stderr
    library = importlib.import_module("sigil_native").__file__ or ""
    if not Path(library).is_relative_to(folder):
        sys.exit(f"measures {library} instead of {folder}")
    rows = load_rows(where)
    workload: Workload | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, object]
        if "prepare" in request:
            gc.unfreeze()
            workload = None
            try:
                workload, seconds = _prepared(rows, request["prepare"])
                answer = {"seconds": seconds, "items": workload.items}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
        elif workload is not None:
            answer = {"seconds": _timed(workload, request["calls"])}
        else:
            answer = {"error": "no row is prepared"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
