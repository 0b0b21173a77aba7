"""Who is told what happens in a process of the service."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry

from app.metrics.limits import LimitMetrics
from app.metrics.stores import StoreMetrics
from core.limits.observation import LimitObserver, NoObserver
from core.store.observation import NoStoreObserver, StoreObserver


class Observers(NamedTuple):
    """Who is told what happens in a process."""

    limits: LimitObserver = NoObserver()
    stores: StoreObserver = NoStoreObserver()


def counting_in(registry: CollectorRegistry) -> Observers:
    """Observers that count."""
    return Observers(LimitMetrics(registry), StoreMetrics(registry))
