"""Who is told what happens in a process of the service."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry

from app.metrics.limits import LimitMetrics
from app.metrics.stores import StoreMetrics
from core.limits.observation import LimitObserver, NoObserver
from core.store.observation import NoStoreObserver, StoreObserver


class Observers(NamedTuple):
    """One for each part of the domain; by default nobody."""

    limits: LimitObserver = NoObserver()
    stores: StoreObserver = NoStoreObserver()


def observers_in(registry: CollectorRegistry) -> Observers:
    """Those that count, in metrics of a registry."""
    return Observers(LimitMetrics(registry), StoreMetrics(registry))
