"""Figures of this process, from what the kernel tells."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from app.metrics.buffered import BufferedCounter

_PAGE: Final = resource.getpagesize()
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Fields of /proc/self/stat behind the name: threads, the start, pages in memory.
_THREADS: Final = 17
_START: Final = 19
_RESIDENT: Final = 21


class ProcessMetrics:
    """Figures of a worker, which carry its place: those of several cannot be added up."""

    def __init__(self, registry: CollectorRegistry, worker: str) -> None:
        def gauge(name: str, text: str) -> Gauge:
            made = Gauge(
                f"sigil_process_{name}", text, ["worker"], registry=registry, multiprocess_mode="livemax"
            )
            return made.labels(worker)

        self._memory = gauge("resident_memory_bytes", "Memory that the process holds.")
        self._files = gauge("open_fds", "Open files.")
        self._most_files = gauge("max_fds", "Files that may be open.")
        self._threads = gauge("threads", "Threads.")
        self._start = gauge("start_time_seconds", "When it started, in seconds since the Unix epoch.")
        self._cpu = BufferedCounter(
            "sigil_process_cpu_seconds",
            "Processor time, of all that have filled this place.",
            ["worker"],
            registry=registry,
        ).labels(worker)
        self._cpu_before = 0.0

    def read(self) -> None:
        """Look again."""
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        self._memory.set(int(fields[_RESIDENT]) * _PAGE)
        self._threads.set(int(fields[_THREADS]))
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._start.set(time.time() - uptime + int(fields[_START]) / _TICKS)
        self._files.set(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - names are enough
        self._most_files.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        cpu = time.process_time()
        self._cpu.inc(max(cpu - self._cpu_before, 0.0))
        self._cpu_before = cpu
