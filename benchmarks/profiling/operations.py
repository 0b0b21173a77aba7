"""What is counted: our side of the library's rows, and requests to the service's application.

No operation is defined here; they are those that ``make bench`` and ``make bench-compare`` time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Final

from benchmarks import service
from benchmarks.comparing.rows import library_rows
from benchmarks.profiling.loading import Open, Operations
from benchmarks.profiling.requests import requests_in_process
from benchmarks.rows import Row, all_rows
from benchmarks.sides import Side

#: ``MODULE:FUNCTION`` of the operations.
OPERATIONS: Final = "benchmarks.profiling.operations:all_operations"
_SUITES: Final = ("canonical", "hashing", "sealing", "batches", "buckets", "audit")
#: Rows of ``make bench-compare`` that the table of ``make bench`` lacks.
_COMPARED: Final = ("verify_json", "sign_event", "Engine.encode")
#: Beginnings of the names whose work the choice of a vector level or kernel changes. The others are counted
#: at the best level alone.
_DISPATCHED: Final = (
    *("canonicalize_json", "HmacKey", "digest_many", "encode_json: ", "encode_ndjson: "),
    "verify_ndjson: ",
)


@contextlib.contextmanager
def _ours(row: Row) -> Iterator[Side]:
    with row.open() as sides:
        yield sides.ours


def _compared(name: str) -> AbstractContextManager[Side]:
    return nullcontext(library_rows()[name]())


def all_operations() -> Operations:
    """Every operation by its name, in the order of the table.

    Rows of two threads are left out: valgrind runs one thread at a time.
    """
    rows = [row for row in all_rows() if row.suite in _SUITES and row.unit == "x" and not row.both_cores]
    operations: dict[str, Open] = {}
    for row in rows:
        # Rows with the same name have the same side of ours, beside different peers.
        operations.setdefault(row.name, partial(_ours, row))
    operations |= {name: partial(_compared, name) for name in _COMPARED}
    operations["application: encode, without store"] = partial(requests_in_process, service.SINGLE)
    operations["application: NDJSON batch, without store"] = partial(requests_in_process, service.BATCHES)
    operations["application: NDJSON verify batch, without store"] = partial(
        requests_in_process, service.VERIFICATIONS
    )
    return operations


def is_dispatched(name: str) -> bool:
    """Whether an operation is counted at lower levels too."""
    return name.startswith(_DISPATCHED)
