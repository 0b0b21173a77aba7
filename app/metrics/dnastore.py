"""Metrics of the DNAStore server."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Gauge

from app.metrics.buffered import BufferedCounter, BufferedHistogram
from core.dnastore.wire import Outcome
from core.errors import StoreUnavailableError

#: A group commit takes from a tenth of a millisecond to tens of them; streams take as long as they are read.
_BUCKETS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class DnaStoreMetrics:
    """Counts what a ``ServerObserver`` is told. Looks each child up once: it takes as long as counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = BufferedHistogram(
            "dnastore_server_request_seconds",
            "Time from a request's head to the end of its answer; status 0 where nobody stayed to get one.",
            ["route", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        writes = BufferedCounter(
            "dnastore_server_writes", "Writes, by what became of them.", ["outcome"], registry=registry
        )
        self._records = BufferedCounter(
            "dnastore_server_records_written",
            "Records that writes brought which were done; sent again, they count again.",
            registry=registry,
        )
        self._store_is_up = Gauge(
            "dnastore_server_store_up",
            "1 if the store could do the last thing that it was asked for, 0 if not.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        failures = BufferedCounter(
            "dnastore_server_store_failures",
            "What the store could not do, by its reason.",
            ["reason"],
            registry=registry,
        )
        self._children: dict[tuple[str, int], BufferedHistogram] = {}
        # All of them, so that what has not happened yet is 0 and not missing.
        self._writes = {outcome: writes.labels(outcome) for outcome in get_args(Outcome)}
        self._failures = failures
        self._store_is_up.set(1)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """See ServerObserver."""
        child = self._children.get((route, status))
        if child is None:
            child = self._children[route, status] = self._requests.labels(route, str(status))
        child.observe(seconds)

    def wrote(self, outcome: Outcome, records: int) -> None:
        """See ServerObserver."""
        self._writes[outcome].inc()
        if records:
            self._records.inc(records)

    def store_failed(self, error: StoreUnavailableError) -> None:
        """See ServerObserver."""
        self._failures.labels(error.reason).inc()
        self._store_is_up.set(0)

    def store_works(self) -> None:
        """See ServerObserver."""
        self._store_is_up.set(1)
