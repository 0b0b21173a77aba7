"""Sections as Grafana keeps them: the JSON of a dashboard, schema 39."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import Any, Final

from monitoring.panel import Panel, Section

_SCHEMA: Final = 39
_COLUMNS: Final = 24
_HEIGHTS: Final = {"stat": 4, "timeseries": 8, "heatmap": 8}
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_ALL: Final = {"selected": True, "text": "All", "value": "$__all"}

Json = dict[str, Any]


def dashboard(sections: Sequence[Section]) -> Json:
    """The whole dashboard."""
    return {
        "uid": "sigil-dna-v2",
        "title": "Sigil DNA",
        "description": "The service and its DNAStore. Made by monitoring/dashboard.py: change it there.",
        "tags": ["sigil"],
        "schemaVersion": _SCHEMA,
        "version": 2,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_alerts_as_annotations()]},
        "links": [
            {
                "type": "link",
                "title": "Runbook",
                "icon": "doc",
                "tooltip": "What to do",
                "url": "${runbook}",
                "targetBlank": True,
            }
        ],
        "templating": {"list": _variables()},
        "panels": list(_laid_out(sections)),
    }


def _alerts_as_annotations() -> Json:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing",job=~"$job"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{slo}}",
        "step": "60s",
    }


def _variables() -> list[Json]:
    job = 'job=~"$job"'
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "current": {},
            "hide": 0,
        },
        _chosen("job", "Job", "label_values(sigil_build_info, job)"),
        _chosen("instance", "Instance", f"label_values(sigil_build_info{{{job}}}, instance)"),
        _chosen("tenant_class", "Class of tenants", "label_values(sigil_encode_total, tenant_class)"),
        {
            "type": "textbox",
            "name": "runbook",
            "label": "Runbook",
            "query": "https://docs.example/runbook/",
            "current": {"text": "https://docs.example/runbook/", "value": "https://docs.example/runbook/"},
            "hide": 0,
        },
    ]


def _chosen(name: str, label: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": _SOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": f"variable-{name}"},
        "current": _ALL,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
    }


def _laid_out(sections: Sequence[Section]) -> Iterator[Json]:
    """Rows, and below each its panels from left to right."""
    number, y = 0, 0
    for section in sections:
        number += 1
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        yield {
            "id": number,
            "type": "row",
            "title": section.title,
            "collapsed": False,
            "gridPos": place,
            "panels": [],
        }
        x, y, height = 0, y + 1, 0
        for panel in section.panels:
            number += 1
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            place = {"x": x, "y": y, "w": panel.width, "h": _HEIGHTS[panel.kind]}
            yield _panel(number, panel, place)
            x, height = x + panel.width, max(height, place["h"])
        y += height


def _panel(number: int, panel: Panel, place: Json) -> Json:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind]
        | ({"yAxis": {"unit": panel.unit}} if panel.kind == "heatmap" else {}),
        "targets": [
            {
                "refId": letter,
                "datasource": _SOURCE,
                "editorMode": "code",
                "expr": query.expression,
                "legendFormat": query.legend,
                "format": "heatmap" if panel.kind == "heatmap" else "time_series",
                "instant": False,
                "range": True,
            }
            for letter, query in zip(string.ascii_uppercase, panel.queries, strict=False)
        ],
    }


def _defaults(panel: Panel) -> Json:
    if panel.kind == "heatmap":
        return {"custom": {"scaleDistribution": {"type": "linear"}}}
    defaults: Json = {"unit": panel.unit}
    if panel.unit == "percentunit":
        defaults["max"] = 1
    if panel.kind == "stat":
        steps: list[Json] = [{"color": "green", "value": None}]
        if panel.red_from is not None:
            steps.append({"color": "red", "value": panel.red_from})
        if panel.red_below is not None:
            steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.red_below}]
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    else:
        defaults |= {
            "min": 0,
            "color": {"mode": "palette-classic"},
            "custom": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never"},
        }
    return defaults


_OPTIONS: Final[dict[str, Json]] = {
    "timeseries": {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "value",
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "scale": "exponential",
            "exponent": 0.5,
            "steps": 64,
        },
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
    },
}
