"""The dashboard's panels over a soak, as Prometheus answers them."""

from __future__ import annotations

import math
from typing import Final

from monitoring.dashboard import panels
from monitoring.prometheus_api import PrometheusApi, Sampled
from soak.results import Panel, Series

#: Points of a line, which no plot shows more of.
_MOST_POINTS: Final = 2000


def ask(prometheus_url: str, begin: float, end: float, step: float, *, window: str = "1m") -> list[Panel]:
    """All panels of the dashboard, from top to bottom.

    Args:
        prometheus_url: of a Prometheus with the rules of ``monitoring/prometheus``, without which the panels
            of alerts and error budgets are empty.
        begin: seconds since the epoch.
        end: likewise.
        step: seconds between two points; more where that would be more than 2000 points.
        window: over which rates are taken; four scrapes at least.

    Raises:
        monitoring.prometheus_api.RefusedError: an expression is wrong, or too much for this Prometheus.
        OSError: nobody answers.
    """
    api = PrometheusApi(prometheus_url)
    step = max(step, (end - begin) / _MOST_POINTS)
    return [
        Panel(
            title=panel.title,
            section=panel.section,
            kind=panel.kind,
            unit=panel.unit,
            queries=[(query.expression, query.legend) for query in panel.queries],
            series=[
                [_series(one) for one in api.query_range(query.expression, begin, end, step)]
                for query in panel.queries
            ],
        )
        for panel in panels(window=window)
    ]


def _series(sampled: Sampled) -> Series:
    """Without the points that are no numbers: quantiles of nothing, which JSON cannot hold."""
    return Series(sampled.labels, [point for point in sampled.points if math.isfinite(point[1])])
