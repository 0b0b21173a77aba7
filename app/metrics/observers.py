"""Who is told what happens in a process of the service."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, Gauge

import sigil_native
from app.metrics.limits import LimitMetrics
from app.metrics.process import ProcessMetrics
from app.metrics.requests import RequestMetrics
from app.metrics.sampling import Sampling
from app.metrics.storage import StorageMetrics
from app.metrics.stores import StoreMetrics
from core.limits.observation import LimitObserver, NoObserver
from core.store.observation import NoStoreObserver, StorageObserver, StoreObserver

if TYPE_CHECKING:
    from app.tracing.tracing import Tracing


class Observers(NamedTuple):
    """Who is told what happens in a process; None where nobody is."""

    limits: LimitObserver = NoObserver()
    stores: StoreObserver = NoStoreObserver()
    requests: RequestMetrics | None = None
    storage: StorageObserver | None = None
    sampling: Sampling | None = None
    tracing: Tracing | None = None


def counting_in(registry: CollectorRegistry, place: int = 0, *, replaces: bool = False) -> Observers:
    """Observers that count.

    Args:
        registry: in which.
        place: of the worker.
        replaces: whether it replaces one that has ended.
    """
    sampling = sampling_in(registry, place, component="service")
    workers = Gauge("sigil_workers", "Processes that serve.", registry=registry, multiprocess_mode="livesum")
    workers.set(1)
    restarts = sampling.made_counter("sigil_worker_restarts", "Workers that took the place of another.")
    restarts.inc(1 if replaces else 0)
    return Observers(
        LimitMetrics(registry),
        StoreMetrics(registry),
        RequestMetrics(registry),
        StorageMetrics(registry),
        sampling,
    )


def sampling_in(registry: CollectorRegistry, place: int, *, component: str) -> Sampling:
    """Sampling of what every process has."""
    sampling = Sampling(registry)
    sampling.often(ProcessMetrics(registry, str(place)).read)
    labels = {
        "version": sigil_native.__version__,
        "python": platform.python_version(),
        "backend": sigil_native.backend,
        "kernel": _kernel(),
        "level": sigil_native.level,
        "component": component,
    }
    sampling.made_gauge("sigil_build_info", "Always 1.", mode="livemax", labels=labels).set(1)
    return sampling


def _kernel() -> str:
    """Which implementation of SHA-256 the processor is given."""
    if sigil_native.backend != "native":
        return "none"
    from sigil_native._hashing import kernel  # noqa: PLC0415 - there is none in the pure backend

    return kernel()
