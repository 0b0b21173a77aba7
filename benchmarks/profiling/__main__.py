"""Count instructions of each operation under valgrind, and compare them with the committed baseline.

Exit codes: 0 all within the tolerance, or not comparable; 1 one is beyond it; 2 wrong usage, or something
could not be counted.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.profiling import counts, report
from benchmarks.profiling.counts import BASELINE, Counts, CountsError
from benchmarks.profiling.judging import TOLERANCE, Result, compare
from benchmarks.profiling.loading import load_operations
from benchmarks.profiling.measuring import (
    Counted,
    Forced,
    Measuring,
    MeasuringError,
    by_level,
    counting_library,
    levels,
    shares,
)
from benchmarks.profiling.operations import OPERATIONS
from benchmarks.profiling.toolchain import differences, toolchain

_BUILD: Final = Path("build/profiling")
_INTERRUPTED: Final = 130
_TERMINATED: Final = 143


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profiling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="operations whose name contains TEXT")
    parser.add_argument("--level", default="", metavar="NAME", help="one vector level instead of all")
    parser.add_argument(
        "--functions", metavar="TEXT", help="only these, and the functions that take most of each"
    )
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, metavar="PERCENT", help="default: %(default)s"
    )
    parser.add_argument(
        "--baseline", type=Path, default=BASELINE, metavar="FILE", help="default: the committed one"
    )
    parser.add_argument("--write-baseline", action="store_true", help="write the baseline instead")
    parser.add_argument("--folder", type=Path, default=Path("reports/profile"), help="where profiles go")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="at a time")
    parser.add_argument("--operations", default=OPERATIONS, help=argparse.SUPPRESS)
    return parser


def _options(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    options = parser.parse_args()
    if options.functions is not None:
        if options.only:
            parser.error("--functions and --only say the same: give one of them")
        options.only = options.functions
    # A comparison with "not a number" is never true.
    if not 0 <= options.tolerance < float("inf"):
        parser.error("--tolerance: a number of per cent, from 0")
    if options.processes < 1:
        parser.error("--processes: at least 1")
    if options.write_baseline and (options.only or options.level):
        parser.error("--write-baseline: a baseline has every operation at every level")
    names = [name for name in load_operations(options.operations) if options.only.lower() in name.lower()]
    if not names:
        parser.error(f"no operation has {options.only!r} in its name")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--folder: {options.folder}: {error.strerror}")
    return options, names


def _chosen(found: Sequence[Forced], wanted: str) -> list[Forced]:
    chosen = [level for level in found if wanted in {"", level.name}]
    if not chosen:
        raise MeasuringError(f"--level: valgrind can run {', '.join(level.name for level in found)}")
    return chosen


def _measure(
    options: argparse.Namespace, names: list[str], found: Sequence[Forced], progress: Console
) -> list[Counted]:
    chosen = _chosen(found, options.level)
    work = list(shares(chosen, names, found[0].name, options.processes))
    if not work:
        raise MeasuringError(f"these operations are counted at level {found[0].name} alone")
    total, done, lock = sum(len(share) for _, share in work), 0, threading.Lock()

    def step(operation: str) -> None:
        nonlocal done
        with lock:
            done += 1
            if progress.is_terminal:
                status.update(f"{done} of {total}: {operation}")
            elif done % 10 == 0 or done == total:
                progress.print(f"{done} of {total} counted", markup=False)

    with progress.status("Starting under valgrind") as status:
        measuring = Measuring(options.folder, counting_library(_BUILD), options.operations, step)
        return measuring.measure(work, options.processes)


def _conclude(results: Sequence[Result], missing: Sequence[str], tolerance: float, console: Console) -> int:
    for operation in missing:
        console.print(
            f"{operation}: in the baseline, but no operation any more", style="yellow", markup=False
        )
    code = 0
    for verdict, colour in (("more", "red"), ("less", "green")):
        beyond = [f"{one.operation} ({one.level})" for one in results if one.verdict == verdict]
        if beyond:
            console.print(
                f"{verdict.capitalize()}, beyond {tolerance:g} %: {', '.join(beyond)}.", style=colour
            )
            code = 1
    if code:
        console.print("If that is what the change is for: make profile-baseline.")
    elif any(one.verdict == "same" for one in results):
        console.print(f"All within {tolerance:g} %.", style="green")
    return code


def _baseline(options: argparse.Namespace, now: Counts, console: Console) -> Counts | None:
    """What is compared with, unless something else made it."""
    baseline = counts.read(options.baseline)
    different = differences(now.toolchain, baseline.toolchain)
    for line in different:
        console.print(line, style="yellow", markup=False)
    if different:
        console.print("Not comparable with the baseline: counts without a verdict.", style="yellow")
        return None
    return baseline


def _report(options: argparse.Namespace, counted: list[Counted], now: Counts, console: Console) -> int:
    baseline = _baseline(options, now, console)
    results = list(compare(now, baseline, options.tolerance))
    for name, level in now.levels.items():
        console.print(report.table(name, level, [one for one in results if one.level == name]))
    if options.functions is not None:
        for one in counted:
            console.print(
                "\n".join(report.most_expensive(one)), markup=False, highlight=False, soft_wrap=True
            )
    everything = baseline is not None and not options.only
    known = {name for level in now.levels.values() for name in level.operations}
    before = baseline.levels.items() if baseline and everything else ()
    missing = [
        name for key, level in before if key in now.levels for name in level.operations if name not in known
    ]
    return _conclude(results, missing, options.tolerance, console)


def main() -> int:
    """Count and compare; see the module for the exit codes."""
    parser = _parser()
    options, names = _options(parser)
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    started = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else 132)
    try:
        if not options.write_baseline:
            counts.read(options.baseline)  # before minutes are spent
        made = dict(toolchain())
        found = levels()
        counted = _measure(options, names, found, Console(stderr=True))
        now = Counts(made, by_level(counted, found, names))
        counts.write(now, options.folder / "counts.json")
        if options.write_baseline:
            counts.write(now, options.baseline)
            console.print(f"{options.baseline}: {len(counted)} counts", markup=False)
            return 0
        code = _report(options, counted, now, console)
    except (MeasuringError, CountsError, subprocess.SubprocessError, OSError) as error:
        Console(stderr=True).print(f"profile: {error}", style="red", markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    console.print(f"{time.monotonic() - started:.0f} s; {options.folder}", markup=False)
    return code


if __name__ == "__main__":
    sys.exit(main())
