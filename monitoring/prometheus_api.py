"""What is asked of a Prometheus: its HTTP API, as far as it is used here."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final, NamedTuple

_TIMEOUT_SECONDS: Final = 30.0


class RefusedError(Exception):
    """Prometheus does not answer a question; says why."""


class Sampled(NamedTuple):
    """One series: its labels, and points of (seconds since the epoch, value), one of them for an instant."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class PrometheusApi:
    """Asks one Prometheus.

    Every call raises ``RefusedError`` where the question is refused, and ``OSError`` where nobody answers.
    """

    def __init__(self, url: str) -> None:
        """``url``: its address, without ``/api``."""
        self.url = url.rstrip("/")

    def query(self, expression: str, at: float | None = None) -> list[Sampled]:
        """What an expression is at a moment, by default now."""
        when = {} if at is None else {"time": at}
        return _series(self._get("query", query=expression, **when))

    def query_range(self, expression: str, begin: float, end: float, step: float) -> list[Sampled]:
        """What an expression was from ``begin`` to ``end``, each ``step`` seconds."""
        return _series(self._get("query_range", query=expression, start=begin, end=end, step=step))

    def firing(self) -> list[dict[str, str]]:
        """The labels of the alerts that fire now; the name is ``alertname``."""
        alerts = self._get("alerts")["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def targets(self) -> list[dict[str, Any]]:
        """What is scraped; ``health`` is ``up`` where that works."""
        found: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return found

    def metric_types(self) -> dict[str, str]:
        """The families of metrics that targets tell of, with or without samples, and their types."""
        return {name: entries[0]["type"] for name, entries in self._get("metadata").items()}

    def _get(self, what: str, **parameters: object) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 (the caller's)
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RefusedError(error.read().decode(errors="replace")) from None


def _series(data: Any) -> list[Sampled]:
    if data["resultType"] == "scalar":
        return [Sampled({}, [(data["result"][0], float(data["result"][1]))])]
    return [
        Sampled(one["metric"], [(at, float(value)) for at, value in one.get("values") or [one["value"]]])
        for one in data["result"]
    ]
