"""Counters and histograms that gather: in the end they say what the library's would."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry, Histogram

from app.metrics.buffered import BufferedCounter, BufferedHistogram, BufferedRegistry

_BOUNDS = (0.1, 0.2, 0.5)


def test_buckets_are_the_librarys() -> None:
    """Figures on a bound, below the first and beyond the last fall where the library has them fall."""
    ours, theirs = BufferedRegistry(), CollectorRegistry()
    for histogram in (
        BufferedHistogram("seconds", "Seconds.", ["kind"], buckets=_BOUNDS, registry=ours),
        Histogram("seconds", "Seconds.", ["kind"], buckets=_BOUNDS, registry=theirs),
    ):
        for figure in (0.0, 0.1, 0.10001, 0.2, 0.3, 0.5, 0.6, 7.0, 0.1):
            histogram.labels("a").observe(figure)
    for bound in ("0.1", "0.2", "0.5", "+Inf"):
        labels = {"kind": "a", "le": bound}
        counted = ours.get_sample_value("seconds_bucket", labels)
        assert counted == theirs.get_sample_value("seconds_bucket", labels)
    assert ours.get_sample_value("seconds_sum", {"kind": "a"}) == pytest.approx(8.90001)
    assert ours.get_sample_value("seconds_count", {"kind": "a"}) == 9


def test_no_thread_is_forgotten() -> None:
    """What several threads count while another hands on is there once, and all of it."""
    registry = BufferedRegistry()
    counter = BufferedCounter("things", "Things.", registry=registry)
    histogram = BufferedHistogram("seconds", "Seconds.", buckets=_BOUNDS, registry=registry)

    def count() -> None:
        for _ in range(5000):
            counter.inc(2)
            histogram.observe(0.3)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        registry.flush()
        assert registry.get_sample_value("things_total") is not None
    assert registry.get_sample_value("things_total") == 30_000
    assert registry.get_sample_value("seconds_bucket", {"le": "0.5"}) == 15_000
    assert registry.get_sample_value("seconds_bucket", {"le": "0.2"}) == 0
