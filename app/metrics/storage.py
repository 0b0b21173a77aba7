"""Metrics of the store of records, whichever it is."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from app.metrics.buffered import BufferedCounter, BufferedHistogram

#: Seconds. Measured like ``REQUEST_BUCKETS``, the first percent, half, and all but one in a hundred: a read
#: from SQLite 0.25, 0.5 and 9 ms for one caller, 0.4, 2.5 and 20 ms for eight at a time; a write 0.6, 1.1 and
#: 19 ms, and 0.8, 3.0 and 22 ms. With a DNAStore, for eight, a read 2.0, 4.6 and 36 ms, a write 2.5, 7.5 and
#: 36 ms. It may take as long as its timeout.
_BUCKETS: Final = (
    *(0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.0025, 0.005),
    *(0.01, 0.02, 0.035, 0.05, 0.1, 1, 5, 30),
)
#: Eight callers fill a commit with 6 writes, half of the time, and with 8 at most.
_COMMITS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1000)


class StorageMetrics:
    """Counts what a ``StorageObserver`` is told. Looks each child up once: it takes as long as counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        reads = BufferedHistogram(
            "sigil_storage_read_seconds",
            "How long calls took that read from the store, as the service waits for them.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        writes = BufferedHistogram(
            "sigil_storage_write_seconds",
            "How long calls took that write to the store, as the service waits for them.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._failures = BufferedCounter(
            "sigil_storage_failures",
            "Calls that the store could not do, by reason.",
            ["reason"],
            registry=registry,
        )
        self._up = Gauge(
            "sigil_storage_up",
            "1 if the store did the last call, 0 if it could not; of several workers the worst.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._commits = BufferedHistogram(
            "sigil_storage_commit_writes",
            "Writes that a group commit made durable together.",
            buckets=_COMMITS,
            registry=registry,
        )
        self._reads = {name: reads.labels(name) for name in ("get", "get_many", "list")}
        self._writes = {name: writes.labels(name) for name in ("put", "put_once", "revoke", "purge", "probe")}
        self._is_up = True
        self._up.set(1)

    def read(self, operation: str, seconds: float) -> None:
        """See StorageObserver."""
        self._reads[operation].observe(seconds)

    def wrote(self, operation: str, seconds: float) -> None:
        """See StorageObserver."""
        self._writes[operation].observe(seconds)

    def failed(self, reason: str) -> None:
        """See StorageObserver."""
        self._failures.labels(reason).inc()
        self._is_up = False
        self._up.set(0)

    def works(self) -> None:
        """See StorageObserver."""
        if not self._is_up:
            self._is_up = True
            self._up.set(1)

    def committed(self, writes: int) -> None:
        """See StorageObserver."""
        self._commits.observe(writes)
