"""Metrics of the DNAStore and of the spool in front of it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from app.metrics.stores import StoreMetrics


def test_what_is_counted() -> None:
    """Each thing that an observer is told has its sample."""
    registry = CollectorRegistry()
    metrics = StoreMetrics(registry)
    for status, seconds in ((200, 0.0004), (200, 0.003), (None, 2.0)):
        metrics.requested("GET", status, seconds)
    metrics.circuit_is("half_open")
    metrics.spool_is(3, 4000, 12.5)
    metrics.forwarded("kept")

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    duration = "dnastore_request_duration_seconds"
    answered = {"method": "GET", "status_code": "200"}
    assert value(f"{duration}_bucket", le="0.0005", **answered) == 1
    assert value(f"{duration}_bucket", le="0.005", **answered) == 2
    assert value(f"{duration}_count", method="GET", status_code="none") == 1
    assert value("dnastore_circuit_state") == 1
    assert value("dnastore_spool_writes") == 3
    assert value("dnastore_spool_bytes") == 4000
    assert value("dnastore_spool_oldest_seconds") == 12.5
    assert value("dnastore_spool_forwarded_total", outcome="kept") == 1
    assert value("dnastore_spool_forwarded_total", outcome="rejected") == 0
