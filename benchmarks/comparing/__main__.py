"""Compare the working tree with a revision, and fail where it is slower beyond noise.

Exit codes: 0 no row is slower, 1 one is, 2 it could not be told.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.comparing import report, sides
from benchmarks.comparing.judging import MARGIN
from benchmarks.comparing.launches import MeasuringError, library_launch
from benchmarks.comparing.measuring import Result, compare
from benchmarks.comparing.sides import SidesError
from benchmarks.comparing.worker import load_rows

_SLICES: Final = 16
_INTERRUPTED: Final = 130
_TERMINATED: Final = 143


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparing", description=__doc__)
    parser.add_argument("base", help="the revision to compare with")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--margin", type=float, default=MARGIN, help="the smallest change that counts")
    parser.add_argument("--slices", type=int, default=_SLICES, help="of each side, a row and launch")
    parser.add_argument("--no-service", action="store_true", help="leave out the rows over HTTP")
    parser.add_argument("--tree", type=Path, default=Path.cwd(), help="the working tree")
    parser.add_argument("--json", type=Path, default=Path("reports/bench-compare.json"), metavar="FILE")
    parser.add_argument("--plot", type=Path, default=Path("reports/bench-compare.svg"), metavar="FILE")
    parser.add_argument("--rows", default="benchmarks.comparing.rows:library_rows", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(options: argparse.Namespace, root: Path, revision: str, progress: Console) -> list[Result]:
    def step(row: str) -> None:
        status.update(f"Timing {row}")

    chance = random.Random()
    with progress.status("Checking out and compiling") as status:
        head = sides.head_side(root)
        pair = (sides.base_side(root, revision, head), head)
        shared = sides.workloads(root)
        rows = [name for name in load_rows(options.rows) if options.only.lower() in name.lower()]
        cpu = max(os.sched_getaffinity(0))
        results = compare(
            lambda: library_launch(pair, shared, options.rows, cpu=cpu, chance=chance),
            rows,
            slices=options.slices,
            margin=options.margin,
            chance=chance,
            step=step,
        )
        if not options.no_service:
            from benchmarks.comparing import requests  # noqa: PLC0415 - loads the service

            cpus = (cpu, min(os.sched_getaffinity(0)))
            results += requests.compare_requests(
                pair, shared, cpus=cpus, only=options.only, margin=options.margin, chance=chance, step=step
            )
    return results


def _conclude(results: list[Result], console: Console) -> int:
    names: dict[str, list[str]] = {}
    for result in results:
        names.setdefault(result.verdict, []).append(result.row)
        if result.detail:
            console.print(f"{result.row}: {result.verdict}: {result.detail}", markup=False)
    if "slower" in names:
        console.print(f"Slower: {', '.join(names['slower'])}.", style="red")
        return 1
    untold = names.get("broken", []) + names.get("unclear", [])
    if untold or not results:
        console.print(f"Nothing can be said of {', '.join(untold) or 'no rows'}.", style="yellow")
        return 2
    console.print("No row is slower.", style="green")
    return 0


def main() -> int:
    """Compare and report; see the module for the exit codes."""
    options = _options()
    progress = Console(stderr=True)
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    started = time.monotonic()
    try:
        root = options.tree.resolve()
        revision = sides.resolve(root, options.base)
        with sides.one_at_a_time(root):
            results = _measure(options, root, revision, progress)
    except (SidesError, MeasuringError, subprocess.SubprocessError, OSError) as error:
        progress.print(f"bench-compare: {error}", style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    seconds = time.monotonic() - started
    base = f"{options.base} ({revision[:12]})" if not revision.startswith(options.base) else revision[:12]
    console = Console(width=None if sys.stdout.isatty() else 132)
    console.print(report.table(results, base, options.margin))
    report.write_json(results, options.json, base=revision, margin=options.margin, seconds=seconds)
    report.draw(results, options.plot, base=base, margin=options.margin)
    code = _conclude(results, console)
    console.print(f"{seconds:.0f} s; {options.json}, {options.plot}", markup=False)
    return code


if __name__ == "__main__":
    sys.exit(main())
