"""Counters and histograms that are quick to count in.

The library finds a histogram's bucket by looking at one after the other, and with several workers writes each
figure to a file: microseconds, several times a request. These put figures in a row, and hand on what has
gathered once a second, or when somebody asks. ``benchmarks/metrics.py`` tells what that leaves.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


class _Buffered(MetricWrapperBase):
    """What gathers, in front of one of the library's classes."""

    def _metric_init(self) -> None:
        super()._metric_init()  # type: ignore[no-untyped-call]
        # Its "append" is one step: any thread may count, without a lock.
        self._gathered: deque[float] = deque()
        self._handing_on = Lock()

    @abstractmethod
    def _hand_on(self, figures: list[float]) -> None:
        """Count these, as the library does."""

    def _flush_one(self) -> None:
        if self._gathered:
            with self._handing_on:
                figures = [self._gathered.popleft() for _ in range(len(self._gathered))]
                self._hand_on(figures)

    def flush(self) -> None:
        """Hand on what has gathered, in all children."""
        if self._is_parent():  # type: ignore[no-untyped-call]
            with self._lock:
                children: list[Any] = [*self._metrics.values()]
            for child in children:
                child._flush_one()
        else:
            self._flush_one()

    def _child_samples(self) -> Iterable[Sample]:
        self._flush_one()
        return super()._child_samples()


class BufferedCounter(_Buffered, Counter):
    """A counter; may be counted in from any thread.

    Attributes:
        add: ``inc`` for those who always say how many.
    """

    def _metric_init(self) -> None:
        super()._metric_init()
        self.add: Callable[[float], None] = self._gathered.append

    def inc(self, amount: float = 1, exemplar: object = None) -> None:
        """Count so many, no less than 0. Not of a metric that has labels, but of its children."""
        self._gathered.append(amount)

    def _hand_on(self, figures: list[float]) -> None:
        super().inc(sum(figures))


class BufferedHistogram(_Buffered, Histogram):
    """A histogram; may be counted in from any thread. Count in its children, where it has labels."""

    def _metric_init(self) -> None:
        super()._metric_init()
        # Nothing around it: it is called several times a request.
        self.observe = self._gathered.append  # type: ignore[method-assign, assignment]

    def _hand_on(self, figures: list[float]) -> None:
        # What the library's own "observe" does, for many at once.
        figures.sort()
        self._sum.inc(sum(figures))
        before = 0
        for bound, bucket in zip(self._upper_bounds, self._buckets, strict=True):
            up_to = bisect_right(figures, bound)
            if up_to > before:
                bucket.inc(up_to - before)
                before = up_to


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
