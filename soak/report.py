"""``report.html``: the verdict, what it rests on, and the pictures, in a file that asks for no other."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from soak.evidence import Evidence
from soak.pictures import call_pictures, course_pictures, resource_pictures
from soak.plots import house_style, panel_plot
from soak.results import REPORT, Summary

_TEMPLATE: Final = "report.html.jinja"
_COLUMNS: Final = ("calls", "failures", "refused", "records", "rate", "p50", "p95", "p99", "max")


def write_report(folder: Path, summary: Summary, evidence: Evidence) -> None:
    """Write it, whole or not at all.

    Raises:
        HistogramError: a histogram is damaged.
    """
    whole = folder / f"{REPORT}.new"
    whole.write_text(report(summary, evidence))
    whole.replace(folder / REPORT)


def report(summary: Summary, evidence: Evidence) -> str:
    """The page. Everything but the pictures is escaped; these escape what they are told themselves."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["number"] = _number
    outcomes = Counter(check.outcome for check in summary.checks)
    with house_style():
        panels: dict[str, list[Markup]] = {}
        for panel in evidence.panels:
            panels.setdefault(panel.section, []).append(_svg(panel_plot(evidence, panel)))
        return environment.get_template(_TEMPLATE).render(
            summary=summary,
            run=summary.run,
            began=datetime.fromtimestamp(summary.run.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            seconds=evidence.ended_at - summary.run.started_at,
            counts=", ".join(f"{count} checks: {outcome}" for outcome, count in sorted(outcomes.items())),
            columns=_COLUMNS,
            faults=evidence.faults,
            course=[_svg(one) for one in course_pictures(evidence)],
            calls=[_svg(one) for one in call_pictures(evidence)],
            resources=[_svg(one) for one in resource_pictures(evidence)],
            panels=panels,
        )


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - of matplotlib's making, which escapes all text


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10_000 else f"{value:,.4g}"
