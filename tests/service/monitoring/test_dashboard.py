"""The dashboard's file, and what its panels show of a live service."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

from monitoring import dashboard
from monitoring.prometheus_api import PrometheusApi
from soak import panels
from tests.service.monitoring.watched import watched

_PROMETHEUS = Path(dashboard.__file__).parent / "prometheus"
#: Windows of the dashboard's rates in seconds: four scrapes.
_WINDOW = 2
_SECONDS = 60.0
#: What is there without being told of by a program: made by Prometheus or its rules.
_OF_PROMETHEUS = {"up", "ALERTS"}


def test_the_file_is_what_is_described() -> None:
    """The committed dashboard is the one that ``python -m monitoring.dashboard`` writes."""
    assert dashboard.PATH.read_text() == dashboard.text()


def test_the_file_is_in_order() -> None:
    """Ids differ, nothing overlaps or sticks out, no panel is nameless, and every variable is declared."""
    document = json.loads(dashboard.PATH.read_text())
    assert document["schemaVersion"] >= 39
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["targets"]
            formats = {target["format"] for target in panel["targets"]}
            assert formats == {"heatmap" if panel["type"] == "heatmap" else "time_series"}
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    declared = {variable["name"] for variable in document["templating"]["list"]}
    assert {"job", "instance", "tenant_class"} < declared
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(document))) - {"__rate_interval", "__all"}
    assert used == declared


def test_panels_show_a_live_service(tmp_path: Path) -> None:
    """Under load every expression is understood and has a number, and what it names is really there."""
    rules = [_PROMETHEUS / "recording.yml", _PROMETHEUS / "alerts.yml"]
    with watched(tmp_path, rules=rules, interval=_WINDOW / 4) as everything:
        api = everything.prometheus.api
        begin = time.time()
        with everything.under_load():
            missing = _all_expressions()
            while (missing := _silent(api, missing)) and time.time() < begin + _SECONDS:
                time.sleep(0.5)
            asked = panels.ask(api.url, begin, time.time(), 1, window=f"{_WINDOW}s")
        assert not missing
        named = {
            name
            for panel in asked
            for expression, _ in panel.queries
            for name in re.findall(r"(?<![\w\"])(?:sigil|dnastore)_\w+|\bup\b|\bALERTS\b", expression)
        }
        told = api.metric_types()
        families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} - _OF_PROMETHEUS
        assert {
            name for name in families if name not in told and name.removesuffix("_total") not in told
        } == set()
    assert [panel.title for panel in asked] == [panel.title for panel in dashboard.panels()]
    assert all(any(one.points for one in query) for panel in asked for query in panel.series)


def _all_expressions() -> list[tuple[str, str, str]]:
    """Title, expression and legend."""
    return [
        (panel.title, query.expression, query.legend)
        for panel in dashboard.panels(window=f"{_WINDOW}s")
        for query in panel.queries
    ]


def _silent(api: PrometheusApi, asked: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Those that have no number now, or lack a label that their legend names."""
    found = []
    for title, expression, legend in asked:
        series = [one for one in api.query(expression) if math.isfinite(one.points[0][1])]
        labels = set(re.findall(r"{{(\w+)}}", legend))
        if not any(labels <= set(one.labels) for one in series):
            found.append((title, expression, legend))
    return found
