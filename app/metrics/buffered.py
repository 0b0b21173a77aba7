"""Counters and histograms that are quick to count in.

The library finds a histogram's bucket by looking at one after the other, and with several workers writes each
figure to a file: microseconds, several times a request. These count in plain numbers, and hand on what has
gathered when somebody asks. ``benchmarks/metrics.py`` tells what that leaves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


class _Buffered(MetricWrapperBase):
    """What gathers, in front of one of the library's classes."""

    def _hand_on(self) -> None:
        """Hand on what has gathered; of a metric with labels, of one child."""
        raise NotImplementedError

    def flush(self) -> None:
        """Hand on what has gathered, in all children."""
        if self._is_parent():  # type: ignore[no-untyped-call]
            with self._lock:
                children: list[Any] = [*self._metrics.values()]
            for child in children:
                child._hand_on()
        else:
            self._hand_on()

    def _child_samples(self) -> Iterable[Sample]:
        self._hand_on()
        return super()._child_samples()


class BufferedCounter(_Buffered, Counter):
    """A counter; may be counted in from any thread."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._gathered = 0.0
        self._gathering = Lock()

    def inc(self, amount: float = 1, exemplar: object = None) -> None:
        """Count so many, no less than 0. Not of a metric that has labels, but of its children."""
        with self._gathering:
            self._gathered += amount

    def _hand_on(self) -> None:
        if self._gathered:
            with self._gathering:
                amount, self._gathered = self._gathered, 0.0
            super().inc(amount)


class BufferedHistogram(_Buffered, Histogram):
    """A histogram; may be counted in from any thread."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._gathered = [0] * len(self._upper_bounds)
        self._gathered_sum = 0.0
        self._has_gathered = False
        self._gathering = Lock()

    def observe(self, amount: float, exemplar: object = None) -> None:
        """Count one. Not of a metric that has labels, but of its children."""
        bucket = bisect_left(self._upper_bounds, amount)
        with self._gathering:
            self._gathered[bucket] += 1
            self._gathered_sum += amount
            self._has_gathered = True

    def _hand_on(self) -> None:
        if not self._has_gathered:
            return
        with self._gathering:
            counts, self._gathered = self._gathered, [0] * len(self._gathered)
            total, self._gathered_sum = self._gathered_sum, 0.0
            self._has_gathered = False
        # What the library's own "observe" does, for many at once.
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class BufferedRegistry(CollectorRegistry):
    """A registry that can have its counters and histograms hand on what has gathered."""

    def __init__(self) -> None:
        super().__init__()
        self._buffered: list[_Buffered] = []

    def register(self, collector: Collector) -> None:
        """See CollectorRegistry."""
        super().register(collector)
        if isinstance(collector, _Buffered):
            self._buffered.append(collector)

    def flush(self) -> None:
        """Hand on all of it."""
        for one in self._buffered:
            one.flush()
