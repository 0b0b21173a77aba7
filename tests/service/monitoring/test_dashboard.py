"""The dashboard's file, and what its panels show of a live service."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

import pytest
import yaml

from monitoring import dashboard
from monitoring.prometheus_api import PrometheusApi, RefusedError
from soak import panels
from tests.service.monitoring.watched import watched

_PROMETHEUS = Path(dashboard.__file__).parent / "prometheus"
#: Windows of the dashboard's rates in seconds: four scrapes.
_WINDOW = 2
_SECONDS = 60.0
#: Between two points of a panel, in seconds.
_STEP = 0.25
_HEAVY = pytest.mark.heavy


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


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=_HEAVY)])
def test_panels_show_a_live_service(tmp_path: Path, workers: int) -> None:
    """Under load every expression is understood and has a number, and what it names is really there."""
    rules = [_PROMETHEUS / "recording.yml", _PROMETHEUS / "alerts.yml"]
    variables = {"SIGIL_WORKERS": str(workers)}
    with watched(tmp_path, rules=rules, interval=_WINDOW / 4, variables=variables) as everything:
        api = everything.prometheus.api
        begin = time.time()
        with everything.under_load():
            missing = _all_expressions()
            while (missing := _silent(api, missing)) and time.time() < begin + _SECONDS:
                time.sleep(0.5)
            # What came last may have come behind the last step of a range that ends now.
            time.sleep(_STEP)
            asked = panels.ask(api.url, begin, time.time(), _STEP, window=f"{_WINDOW}s")
        assert not missing
        with pytest.raises(RefusedError, match="parse error"):
            api.query("1 +")
        # With several workers only what has been counted is told of.
        assert workers > 1 or _families_in(
            [text for panel in asked for text, _ in panel.queries], rules
        ) <= _told(api)
        objectives = {one.labels["slo"] for one in api.query("sigil:slo_errors:ratio_rate5m")}
        assert objectives == {one.labels["slo"] for one in api.query("sigil:slo_budget:ratio")}
    assert [panel.title for panel in asked] == [panel.title for panel in dashboard.panels()]
    assert [
        panel.title for panel in asked if not any(one.points for query in panel.series for one in query)
    ] == []


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


def _families_in(expressions: list[str], rules: list[Path]) -> set[str]:
    """The families of metrics that expressions and files of rules name, and that programs must tell of."""
    loaded = [yaml.safe_load(path.read_text()) for path in rules]
    ruled = [rule["expr"] for one in loaded for group in one["groups"] for rule in group["rules"]]
    bare = [re.sub(r'"[^"]*"', "", text) for text in (*expressions, *ruled)]
    names = {name for text in bare for name in re.findall(r"\b(?:sigil|dnastore)_\w+", text)}
    return {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in names}


def _told(api: PrometheusApi) -> set[str]:
    return {name.removesuffix("_total") for name in api.metric_types()}
