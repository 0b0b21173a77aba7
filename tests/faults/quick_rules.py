"""The committed rules with time shortened, so that a test can wait for what takes minutes and days.

What an alert looks at, and its other thresholds, stay as they are. Shortened are:

- windows of rates and waits (``for``), sixty times: 5m becomes 5 s, 3d becomes 72 minutes, of which there
  are only as many as the test has run;
- thresholds that are an age, each as ``_AGES`` says;
- all of ``SigilMemoryGrows``, 720 times: what grows in half a minute counts there as growth in six hours.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from monitoring import dashboard

_FOLDER: Final = Path(dashboard.__file__).parent / "prometheus"
_FACTOR: Final = 60
_FACTORS: Final = {"SigilMemoryGrows": 720}
#: Of an alert: a threshold in seconds, and what stands in for it.
_AGES: Final = {
    "SigilSpoolOld": ("> 900", "> 3"),
    "SigilKeySetStale": ("> 7200", "> 5"),
    "SigilMemoryGrows": ("> 6 * 3600", "> 15"),
}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def quick_rules(folder: Path) -> list[Path]:
    """Files of all rules, with time shortened."""
    made = []
    for name in ("recording.yml", "alerts.yml"):
        rules = yaml.safe_load((_FOLDER / name).read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                _shorten(rule)
        made.append(folder / f"quick-{name}")
        made[-1].write_text(json.dumps(rules))
    return made


def alert_names() -> set[str]:
    """All alerts."""
    groups = yaml.safe_load((_FOLDER / "alerts.yml").read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"]}


def _shorten(rule: dict[str, Any]) -> None:
    name = rule.get("alert", "")
    factor = _FACTORS.get(name, _FACTOR)

    def shorter(duration: str) -> str:
        return f"{int(int(duration[:-1]) * _SECONDS[duration[-1]] * 1000 / factor)}ms"

    if name in _AGES:
        was, becomes = _AGES[name]
        assert was in rule["expr"], name
        rule["expr"] = rule["expr"].replace(was, becomes)
    windows = r"(\[|offset )(\w+)"
    rule["expr"] = re.sub(windows, lambda found: found[1] + shorter(found[2]), rule["expr"])
    if "for" in rule:
        rule["for"] = shorter(rule["for"])
