"""Prometheus's rules: what promtool does not look at. `make lint` runs promtool, and the rules' own tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).resolve().parents[3]
_FOLDER = _ROOT / "monitoring" / "prometheus"


def _rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((_FOLDER / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_alert_is_tested_firing_and_silent() -> None:
    """Each has a unit test in which it fires and one in which it does not."""
    fires: set[str] = set()
    silent: set[str] = set()
    for path in (_FOLDER / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for expected in test["alert_rule_test"]:
                (fires if expected["exp_alerts"] else silent).add(expected["alertname"])
    alerts = {rule["alert"] for rule in _rules("alerts.yml")}
    assert (fires, silent) == (alerts, alerts)


def test_every_alert_leads_to_the_runbook() -> None:
    """Each says how bad it is, what is wrong, and a section of the runbook that tells what to do about it."""
    text = (_ROOT / "docs" / "runbook.md").read_text()
    sections = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for rule in _rules("alerts.yml"):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}
        base, _, section = notes["runbook_url"].partition("#")
        assert base == "{{ $externalLabels.runbook }}"
        assert section in sections, rule["alert"]


def test_every_alert_is_in_the_documents() -> None:
    """The table of alerts has each, with its severity, and no other."""
    text = (_ROOT / "docs" / "monitoring.md").read_text()
    written = re.findall(r"^\| \[?`(\w+)`.*?\| (page|ticket) \|", text, re.M)
    assert sorted(written) == sorted(
        (rule["alert"], rule["labels"]["severity"]) for rule in _rules("alerts.yml")
    )


def test_windows_of_objectives_differ_in_nothing_else() -> None:
    """Each window has the same expressions."""
    by_window: dict[str, list[tuple[str, str]]] = {}
    for rule in _rules("recording.yml"):
        if window := re.fullmatch(r"sigil:slo_errors:ratio_rate(\w+)", rule["record"]):
            assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {window[1]}
            expression = rule["expr"].replace(f"[{window[1]}]", "[]")
            by_window.setdefault(window[1], []).append((rule["labels"]["slo"], expression))
    assert set(by_window) == {"5m", "30m", "1h", "6h", "3d"}
    assert all(rules == by_window["5m"] for rules in by_window.values())
