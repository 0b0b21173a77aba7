"""Metrics of the DNAStore that keeps the records, and of the spool in front of it."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Gauge

from app.metrics.buffered import BufferedCounter, BufferedHistogram
from core.breaker import State
from core.store.observation import Forwarded

_STATES: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}
_OUTCOMES: Final[tuple[Forwarded, ...]] = get_args(Forwarded)
#: Seconds, to what a call may take. Measured like ``REQUEST_BUCKETS``, on one machine with the DNAStore: a
#: read takes 1 to 4 ms, half of the time, a write 5 ms; one in a hundred 34 ms. It is measured in
#: milliseconds.
_BUCKETS: Final = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02),
    *(0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
#: In the place of a status, where there was no answer.
_NO_ANSWER: Final = "none"


class StoreMetrics:
    """Counts what a ``StoreObserver`` is told. Looks each child up once: it takes as long as counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = BufferedHistogram(
            "dnastore_request_duration_seconds",
            "How long requests to the DNAStore took, by HTTP method and status: none where no answer came.",
            ["method", "status_code"],
            registry=registry,
            buckets=_BUCKETS,
        )
        self._circuit = Gauge(
            "dnastore_circuit_state",
            "The breaker before the DNAStore, as the worker sees it that sees it worst: "
            "0 closed, 1 half open, 2 open.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._writes = Gauge(
            "dnastore_spool_writes",
            "Writes that wait for the DNAStore.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._bytes = Gauge(
            "dnastore_spool_bytes",
            "Bytes of the writes that wait for the DNAStore.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._oldest = Gauge(
            "dnastore_spool_oldest_seconds",
            "For how long the oldest write waits for the DNAStore.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        forwarded = BufferedCounter(
            "dnastore_spool_forwarded",
            "Writes that have been sent on to the DNAStore, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._forwarded = {outcome: forwarded.labels(outcome) for outcome in _OUTCOMES}
        self._children: dict[tuple[str, int | None], BufferedHistogram] = {}

    def requested(self, method: str, status: int | None, seconds: float) -> None:
        """A request to the DNAStore has ended."""
        child = self._children.get((method, status))
        if child is None:
            code = _NO_ANSWER if status is None else str(status)
            child = self._children[method, status] = self._requests.labels(method, code)
        child.observe(seconds)

    def circuit_is(self, state: State) -> None:
        """The breaker before the DNAStore is in this state."""
        self._circuit.set(_STATES[state])

    def spool_is(self, writes: int, size: int, oldest_seconds: float) -> None:
        """So much waits in the spool."""
        self._writes.set(writes)
        self._bytes.set(size)
        self._oldest.set(oldest_seconds)

    def forwarded(self, outcome: Forwarded) -> None:
        """A spooled write has been sent on."""
        self._forwarded[outcome].inc()
