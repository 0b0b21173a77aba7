"""Metrics of rate limits."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Gauge

from app.metrics.buffered import BufferedCounter
from core.limits.observation import BackendState, Outcome

_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
_STATES: Final[dict[BackendState, int]] = {"ok": 0, "degraded": 1, "down": 2}


class LimitMetrics:
    """Counts what a ``LimitObserver`` is told. Looks each child up once: it takes as long as counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = BufferedCounter(
            "sigil_rate_limit",
            "Requests that a rate limit decided on, by what became of them.",
            ["limit", "outcome"],
            registry=registry,
        )
        self._backends = Gauge(
            "sigil_rate_limit_backend_state",
            "How a place where rate limits are counted is doing, as the worker sees it that sees it worst: "
            "0 as it should, 1 with another in its place, 2 not at all.",
            ["backend"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._full = BufferedCounter(
            "sigil_rate_limit_table_full",
            "New keys that found no room in a table of token buckets.",
            registry=registry,
        )
        self._children: dict[tuple[str, Outcome], BufferedCounter] = {}

    def decided(self, limit: str, outcome: Outcome) -> None:
        """A request was decided on."""
        child = self._children.get((limit, outcome))
        if child is None:
            # All of them, so that what has not happened yet is 0 and not missing.
            self._children |= {(limit, one): self._decisions.labels(limit, one) for one in _OUTCOMES}
            child = self._children[limit, outcome]
        child.inc()

    def backend_is(self, backend: str, state: BackendState) -> None:
        """A place where counts are kept is in this state."""
        self._backends.labels(backend).set(_STATES[state])

    def table_was_full(self, times: int) -> None:
        """So many new keys have found no room."""
        self._full.inc(times)
