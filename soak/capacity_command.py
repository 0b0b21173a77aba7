"""``python -m soak capacity``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from soak.plan import SCENARIOS
from soak.run_command import Duration, Scenarios

#: Everything but what is meant to be refused.
_SCENARIOS: Final = {name: share for name, share in SCENARIOS.items() if name != "greedy"}
#: No rate was good: too little is known, as of a verdict.
_UNKNOWN: Final = 3


@click.command("capacity")
@click.option("--from", "first", type=click.FloatRange(1, 100_000), default=20, show_default=True)
@click.option("--factor", type=click.FloatRange(1.01, 10), default=1.25, show_default=True)
@click.option("--step", "seconds", type=Duration(), default="20s", show_default=True, help="Of one rate.")
@click.option("--most-steps", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--p99", "p99_ms", type=click.FloatRange(1), default=250, show_default=True, help="ms")
@click.option("--users", type=click.IntRange(1, 5000), default=100, show_default=True)
@click.option("--scenarios", type=Scenarios(), default=_SCENARIOS, help="Such as encode=2,verify.")
@click.option("--results", "folder", type=click.Path(path_type=Path, file_okay=False), help="A new folder.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Of the service.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of load.")
@click.option("--batch", type=click.IntRange(1, 900), default=10, show_default=True, help="Lines of a batch.")
@click.option("--history/--no-history", default=True, show_default=True, help="Chain what is written.")
def capacity_command(folder: Path | None, **rest: Any) -> None:
    """Raise the rate by steps until one is too much, and say which rate to plan with.

    A step is too much if its p99, from the intended start, is above --p99, if calls fail or are refused, or
    if the load itself is late. It is tried once more. Ends with 0; with 3 if no rate was good.
    """
    from soak import capacity  # noqa: PLC0415 - slow, and not for --help

    folder = folder or Path("reports") / time.strftime("capacity-%Y%m%d-%H%M%S")
    console = Console()
    try:
        steps = capacity.search(
            capacity.Search(folder=folder.absolute(), **rest),
            lambda step: click.echo(f"{step.rate:,.1f}/s: {step.trouble or 'good'}", err=True),
        )
    except FileExistsError as error:
        raise click.UsageError(str(error)) from None
    table = Table(title="calls/s, latencies in ms, processors in use", box=SIMPLE)
    for heading in ("calls/s", "p50", "p99", "service", "dnastore", "load"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for step in steps:
        used = (step.cpu[part] for part in ("service", "dnastore", "load"))
        cpu = ("?" if one is None else f"{100 * one:,.0f} %" for one in used)
        numbers = (f"{step.rate:,.1f}", f"{step.p50_ms:,.1f}", f"{step.p99_ms:,.1f}")
        table.add_row(*numbers, *cpu, step.trouble or "good")
    console.print(table)
    rate = capacity.recommended(steps)
    if rate is None:
        click.echo("no rate was good: begin lower with --from")
        sys.exit(_UNKNOWN)
    last = "" if steps[-1].trouble else "; the last step was good, so there may be more: --from, --most-steps"
    click.echo(f"plan with {rate:,.1f} calls a second: three quarters of the last rate that was good{last}")
