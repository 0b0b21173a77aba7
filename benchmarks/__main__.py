"""Time the library against its peers and print a table of ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

import sigil_native
from benchmarks.audit import audit_rows
from benchmarks.buckets import bucket_rows
from benchmarks.rows import Row, all_rows


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def _duration(seconds: float) -> str:
    nanoseconds = seconds * 1e9
    return f"{nanoseconds:,.0f} ns" if nanoseconds < 10_000 else f"{nanoseconds / 1000:,.1f} µs"


def _report(row: Row, ours: float, peer: float) -> dict[str, object]:
    ratio = row.ratio(ours, peer)
    return {
        "row": row.name,
        "against": row.against,
        "ours_ns": round(ours * 1e9, 1),
        "peer_ns": round(peer * 1e9, 1),
        "ratio": round(ratio, 3),
        "goal": row.goal,
        "goal_is_a_maximum": row.at_most,
        "reached": row.reached(ratio),
    }


def main() -> int:
    """Run the rows that match and print them; 0 whatever the verdicts are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--rounds", type=int, default=40, help="slices of 10 ms for each side of a row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="the core to run on")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.cpu})

    console = Console(width=None if sys.stdout.isatty() else 132)
    table = Table(
        title=f"Sigil {sigil_native.backend} backend on {_processor()}, best of {options.rounds}, one core"
    )
    for heading in ("What", "Against"):
        table.add_column(heading, overflow="fold")
    for heading in ("Ours", "Peer", "Ratio", "Goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    reports = []
    rows = [row for row in [*all_rows(), *audit_rows(), *bucket_rows()] if options.only in row.name]
    progress = Console(stderr=True)
    for row in track(rows, "Timing", console=progress, transient=True, disable=not progress.is_terminal):
        report = _report(row, *row.measure(options.rounds))
        reports.append(report)
        sign = "≤" if row.at_most else "≥"
        verdict = "[green]reached[/]" if report["reached"] else "[red]missed[/]"
        ours, peer = (_duration(float(str(report[side])) / 1e9) for side in ("ours_ns", "peer_ns"))
        table.add_row(
            row.name, row.against, ours, peer, f"{report['ratio']:.2f}x", f"{sign} {row.goal:g}x", verdict
        )
    console.print(table)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"processor": _processor(), "python": platform.python_version(), "rows": reports}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
