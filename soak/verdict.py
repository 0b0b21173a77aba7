"""The verdict on a run, and its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from soak import results
from soak.call_checks import call_checks, totals
from soak.course_checks import course_checks
from soak.evidence import Evidence
from soak.growth_checks import growth_checks
from soak.results import Check, Summary
from soak.thresholds import Profile, Thresholds

Outcome = Literal["pass", "fail", "inconclusive"]

#: What ``python -m soak verdict`` ends with. 1 is a fault of the service; 3 says that nobody knows.
EXIT_CODES: Final[dict[Outcome, int]] = {"pass": 0, "fail": 1, "inconclusive": 3}
#: sysexits.h: EX_DATAERR, of a results folder that cannot be read.
DAMAGED: Final = 65


def judge(evidence: Evidence, thresholds: Thresholds, profile: Profile | None = None) -> Summary:
    """Judge a run.

    Args:
        evidence: what it has left behind.
        thresholds: what it is judged by.
        profile: which slopes; by the length of the run if None.

    Raises:
        HistogramError: a histogram is damaged.
    """
    profile = profile or thresholds.profile_of(evidence.run.seconds)
    checks = [
        *course_checks(evidence, thresholds),
        *call_checks(evidence, thresholds, profile),
        *growth_checks(evidence, thresholds, profile),
    ]
    return Summary(verdict_of(checks), checks, evidence.run, totals(evidence), profile)


def verdict_of(checks: Sequence[Check]) -> Outcome:
    """Fail if any check failed, else inconclusive if any could not be judged, else pass."""
    outcomes = {check.outcome for check in checks}
    if "fail" in outcomes:
        return "fail"
    return "inconclusive" if "inconclusive" in outcomes or not checks else "pass"


def write_summary(folder: Path, summary: Summary) -> None:
    """Write ``summary.json``, whole or not at all, and ``summary.md`` for who reads a pipeline's page."""
    text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    whole = folder / f"{results.SUMMARY}.new"
    whole.write_bytes(text + b"\n")
    whole.replace(folder / results.SUMMARY)
    (folder / results.SUMMARY_TEXT).write_text(as_markdown(summary), encoding="utf-8")


def as_markdown(summary: Summary) -> str:
    """The summary for people where no page can be shown: what was not passed, and the operations."""
    run = summary.run
    lines = [
        f"# Soak: {summary.verdict}",
        "",
        f"{run.seconds:,.0f} seconds, {run.users} callers, {run.processor}, revision {run.revision}.",
        f"Judged by {summary.judged_by or 'thresholds'}, slopes of {summary.profile} runs.",
        "",
    ]
    others = [check for check in summary.checks if check.outcome != "pass"]
    lines += [f"{len(summary.checks) - len(others)} of {len(summary.checks)} checks passed.", ""]
    lines += [f"* **{check.outcome}** {check.name}: {check.says}" for check in others]
    lines += ["", "| operation | calls | failures | p50 | p95 | p99 |", "|---|---|---|---|---|---|"]
    for operation, total in summary.totals.items():
        quantiles = (f"{total[name]:,.1f} ms" if name in total else "–" for name in ("p50", "p95", "p99"))
        counts = (f"{total[name]:,.0f}" for name in ("calls", "failures"))
        lines.append(f"| {' | '.join([operation, *counts, *quantiles])} |")
    return "\n".join([*lines, ""])
