"""Figures that are read now and then: nothing that happens has to tell of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, Literal

import structlog
from prometheus_client import CollectorRegistry, Gauge

from app.metrics.buffered import BufferedCounter, BufferedHistogram

_LAG_SECONDS: Final = 0.1
#: Looks at the loop's lag between two readings, and readings between two of those that take a moment.
_LOOKS: Final = 10
_READINGS: Final = 15
#: Seconds. Half of the looks came 0.3 ms late for one caller and 0.8 ms for eight, one in a hundred 11 to 25
#: ms, on a machine with other work; see ``REQUEST_BUCKETS``.
_LAGS: Final = (0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)

Mode = Literal["livesum", "livemin", "livemax"]
Read = Callable[[], float | None]

_log = structlog.get_logger("app.metrics")


class Sampling:
    """Reads figures once a second, in the event loop, and measures the loop's lag ten times a second."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._lag = BufferedHistogram(
            "sigil_event_loop_lag_seconds",
            "How much later than it should the event loop came to something, looked at ten times a second.",
            buckets=_LAGS,
            registry=registry,
        )
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, BufferedCounter] = {}
        self._quick: list[Callable[[], None]] = []
        self._slow: list[Callable[[], None]] = []

    def gauge(
        self,
        name: str,
        text: str,
        read: Read,
        *,
        mode: Mode = "livesum",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Read a gauge once a second; there is none before its first figure, and None changes nothing."""

        def sample() -> None:
            found = read()
            if found is not None:
                self.made_gauge(name, text, mode=mode, labels=labels).set(found)

        self._quick.append(sample)

    def made_gauge(
        self, name: str, text: str, *, mode: Mode = "livesum", labels: Mapping[str, str] | None = None
    ) -> Gauge:
        """A gauge, or the same again, with these labels."""
        made = self._gauges.get(name)
        if made is None:
            made = self._gauges[name] = Gauge(
                name, text, list(labels or ()), registry=self._registry, multiprocess_mode=mode
            )
        return made.labels(**labels) if labels else made

    def counter(
        self, name: str, text: str, read: Callable[[], int], labels: Mapping[str, str] | None = None
    ) -> None:
        """Read once a second what somebody counts from 0 on, in this process."""
        self.follow(self.made_counter(name, text, labels), read)

    def made_counter(self, name: str, text: str, labels: Mapping[str, str] | None = None) -> BufferedCounter:
        """A counter, or the same again, with these labels."""
        made = self._counters.get(name)
        if made is None:
            made = self._counters[name] = BufferedCounter(
                name, text, list(labels or ()), registry=self._registry
            )
        return made.labels(**labels) if labels else made

    def histogram(self, name: str, text: str, buckets: Sequence[float]) -> BufferedHistogram:
        """A histogram, which others fill."""
        return BufferedHistogram(name, text, buckets=buckets, registry=self._registry)

    def follow(self, counter: BufferedCounter, read: Callable[[], int]) -> None:
        """Add to a counter, once a second, what has been counted since."""
        before = 0

        def sample() -> None:
            nonlocal before
            now = read()
            if now > before:
                counter.inc(now - before)
                before = now

        self._quick.append(sample)

    def often(self, read: Callable[[], None]) -> None:
        """Call something once a second."""
        self._quick.append(read)

    def seldom(self, read: Callable[[], None]) -> None:
        """Call something every fifteen seconds, in a thread: it takes a moment."""
        self._slow.append(read)

    def read(self) -> None:
        """Read what takes no time."""
        for read in self._quick:
            try:
                read()
            except Exception:
                _log.exception("metrics not read")

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Read until left."""
        self.read()
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> None:
        looks = 0
        while True:
            if looks % (_LOOKS * _READINGS) == 0:
                await self._read_slow()
            due = time.monotonic() + _LAG_SECONDS
            await asyncio.sleep(_LAG_SECONDS)
            self._lag.observe(max(time.monotonic() - due, 0.0))
            looks += 1
            if looks % _LOOKS == 0:
                self.read()

    async def _read_slow(self) -> None:
        for read in self._slow:
            try:
                await asyncio.to_thread(read)
            except Exception:
                _log.exception("metrics not read")
