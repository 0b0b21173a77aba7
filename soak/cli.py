"""The soak's command line."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from typing import NoReturn

import click

from soak import notify, thresholds, verdict
from soak.capacity_command import capacity_command
from soak.evidence import Evidence, ResultsError, load_evidence
from soak.histograms import HistogramError
from soak.results import REPORT, Summary
from soak.run_command import run_command

_FOLDER = click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
_MARKS = {"pass": ("green", "pass"), "fail": ("red", "FAIL"), "inconclusive": ("yellow", "?   ")}


@click.group()
def main() -> None:
    """Load for hours, faults on purpose, and a verdict."""


_THRESHOLDS = click.option(
    "--thresholds",
    "thresholds_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=thresholds.DEFAULT,
    help="What the run is judged by; without it: soak/thresholds.toml.",
)
_PROFILE = click.option(
    "--profile",
    type=click.Choice(["full", "quick"]),
    help="Which slopes; without it: by the length of the run.",
)


main.add_command(run_command)
main.add_command(capacity_command)


def conclude(folder: Path, state: Path, *, with_report: bool) -> int:
    """Judge a run that is over by what holds without options, report it, and tell; the exit code."""
    evidence, summary = _judged(folder, thresholds.DEFAULT, None)
    verdict.write_summary(folder, summary)
    if with_report:
        from soak.report import write_report  # noqa: PLC0415 - slow: it draws

        write_report(folder, summary, evidence)
    show(summary)
    if with_report:
        click.echo(folder / REPORT)
    tell(summary, state)
    return verdict.EXIT_CODES[summary.verdict]


@main.command("verdict")
@_FOLDER
@_THRESHOLDS
@_PROFILE
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the last verdict: the webhook of SOAK_WEBHOOK_URL hears of changes alone.",
)
@click.option("--link", help="Where the report can be read; for the webhook's message.")
def judge(
    folder: Path,
    thresholds_file: Path,
    profile: thresholds.Profile | None,
    state: Path | None,
    link: str | None,
) -> None:
    """Judge a run: FOLDER/summary.json, and a line for each check.

    Ends with 0: pass, 1: fail, 3: inconclusive; with 65 when FOLDER cannot be read, with 78 when the
    thresholds cannot.
    """
    _, summary = _judged(folder, thresholds_file, profile)
    verdict.write_summary(folder, summary)
    show(summary)
    if (folder / REPORT).exists():
        click.echo(
            f"{folder / REPORT} shows the verdict before; `python -m soak report` draws it anew", err=True
        )
    tell(summary, state, link)
    sys.exit(verdict.EXIT_CODES[summary.verdict])


@main.command()
@_FOLDER
@_THRESHOLDS
@_PROFILE
def report(folder: Path, thresholds_file: Path, profile: thresholds.Profile | None) -> None:
    """Judge a run, and write FOLDER/report.html beside FOLDER/summary.json. Ends with 0 if it can."""
    from soak.report import write_report  # noqa: PLC0415 - slow: it draws

    evidence, summary = _judged(folder, thresholds_file, profile)
    verdict.write_summary(folder, summary)
    write_report(folder, summary, evidence)
    click.echo(f"{summary.verdict}: {folder / REPORT}")


def _judged(
    folder: Path, thresholds_file: Path, profile: thresholds.Profile | None
) -> tuple[Evidence, Summary]:
    try:
        limits = thresholds.load_thresholds(thresholds_file)
    except thresholds.ThresholdsError as error:
        _fail(str(error), thresholds.EXIT_CODE)
    try:
        evidence = load_evidence(folder)
        summary = verdict.judge(evidence, limits, profile)
        digest = hashlib.sha256(thresholds_file.read_bytes()).hexdigest()
        summary.judged_by = f"{thresholds_file.name} {digest[:12]}"
        return evidence, summary
    except (ResultsError, HistogramError) as error:
        _fail(str(error), verdict.DAMAGED)


def show(summary: Summary) -> None:
    """Print a line for each check, what is wrong last, and the verdict."""
    for outcome in ("pass", "inconclusive", "fail"):
        for check in summary.checks:
            if check.outcome == outcome:
                colour, mark = _MARKS[outcome]
                limit = "" if check.limit is None else f" (limit {check.limit:,.6g} {check.unit})"
                click.echo(f"{click.style(mark, fg=colour)}  {check.name}: {check.says}{limit}")
    colour, _ = _MARKS[summary.verdict]
    click.echo(click.style(f"verdict: {summary.verdict}", fg=colour, bold=True))


def tell(summary: Summary, state: Path | None, link: str | None = None) -> None:
    """Tell the webhook of a verdict that is news. What goes wrong here is said, and changes no verdict.

    A verdict that could not be told is not remembered either, so that the next run tells it.
    """
    try:
        url = notify.webhook_url()
        if url is not None and notify.is_news(summary, state):
            asyncio.run(notify.send(url, notify.message(summary, link)))
            click.echo("the webhook was told")
        if state is not None:
            notify.remember(summary, state)
    except notify.NotificationError as error:
        click.echo(f"not notified: {error}", err=True)
    except OSError as error:
        click.echo(f"the verdict is not remembered: {error.filename}: {error.strerror}", err=True)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
