"""Runs under callgrind, and counts the operations that are named on its standard input, a line each.

    OPERATIONS COUNTING

``OPERATIONS`` is where they are defined, as ``MODULE:FUNCTION``; ``COUNTING`` the library of counting.cpp.
Each operation has a process of its own, forked from one that has imported everything: whatever is counted
before or beside it, it finds the same memory. What comes out is lines of JSON: which level is in use, then

* ``{"operation": NAME, "process": PID, "items": N}``, where callgrind names its file by the process, or
* ``{"operation": NAME, "error": TEXT}``.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from typing import Final

from benchmarks.profiling.loading import Open, load_operations
from sigil_native._canonical_text import vector_level
from sigil_native._hashing import kernel

#: Calls that are not counted: caches are filled, buffers have grown, and bytecode is specialised.
_WARMING: Final = 2


def _tell(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _count(name: str, opened: Open, counting: ctypes.CDLL) -> None:
    with opened() as side:
        for _ in range(_WARMING):
            side.call()
        gc.collect()
        gc.freeze()
        gc.disable()
        counting.begin_counting()
        side.call()
        counting.end_counting()
        gc.enable()
        _tell({"operation": name, "process": os.getpid(), "items": side.items})


def _count_apart(name: str, opened: Open, counting: ctypes.CDLL) -> None:
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            _tell({"operation": name, "error": f"its process ended with status {status}"})
        return
    try:
        _count(name, opened, counting)
    except BaseException as error:
        _tell({"operation": name, "error": f"{type(error).__name__}: {error}"})
    # What is to be done at an exit is the parent's to do.
    os._exit(0)


def main() -> None:
    """Count until the input ends."""
    where, library = sys.argv[1:]
    operations, counting = load_operations(where), ctypes.CDLL(library)
    _tell({"kernel": kernel(), "vector": vector_level()})
    for line in sys.stdin:
        name = line.rstrip("\n")
        _count_apart(name, operations[name], counting)


if __name__ == "__main__":
    main()
