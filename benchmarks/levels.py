"""Time the library's rows at every level this machine can be forced to: ``python -m benchmarks.levels``.

A level is a choice of instructions (``SIGIL_NATIVE_LEVEL``, docs/library.md); each is timed in a process
of its own, its peers with it. One table shows them beside each other.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.running import summary_of, time_rows, timing_options
from benchmarks.summary import Figures, Summary
from benchmarks.table import figure, goal, machine
from sigil_native._levels import LEVELS, VARIABLE, usable_levels

#: Suites whose rows depend on the level; the others are the same at each.
SUITES: Final = ("canonical", "hashing", "sealing", "batches", "audit")
Runs = Mapping[str, Summary]


def markdown_lines(runs: Runs) -> Iterator[str]:
    """Each row once, with what was measured at every level; what misses its goal stands out."""
    yield machine(next(iter(runs.values()))) + ":"
    yield ""
    yield "| what | against | goal | " + " | ".join(f"`{level}`" for level in runs) + " |"
    yield "|" + "---|" * (3 + len(runs))
    found: dict[tuple[str, str], dict[str, Figures]] = {}
    for level, summary in runs.items():
        for figures in summary["rows"]:
            found.setdefault((figures["row"], figures["against"]), {})[level] = figures
    for (name, against), rows in found.items():
        goals = " or ".join(dict.fromkeys(goal(figures) for figures in rows.values()))
        measured = (_cell(rows[level]) if level in rows else "" for level in runs)
        yield f"| {name} | {against} | {goals} | " + " | ".join(measured) + " |"


def _cell(figures: Figures) -> str:
    return figure(figures) if figures["reached"] else f"**{figure(figures)}**"


def section(runs: Runs) -> str:
    """What the page shows of all levels."""
    parts = (f"`{level}` is kernel {LEVELS[level][0]}, transcoder {LEVELS[level][1]}" for level in runs)
    rows = {level: run["rows"] for level, run in runs.items()}
    reached = (
        f"`{level}` {sum(figures['reached'] for figures in found)} of {len(found)}"
        for level, found in rows.items()
    )
    told = (f"Goals reached: {', '.join(reached)}.", f"Levels: {'; '.join(parts)}.")
    return "\n".join([*markdown_lines(runs), "", *told])


def main() -> int:
    """Time every level, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levels", description=__doc__)
    options = timing_options(parser, rounds=20, path="reports/bench-levels.json")
    runs: dict[str, Summary] = {}
    with tempfile.TemporaryDirectory() as folder:
        for level in usable_levels():
            print(f"\n-- {level}", flush=True)
            path = Path(folder) / "run.json"
            forced = {VARIABLE: level}
            status = time_rows(
                path, only=options.only, rounds=options.rounds, suites=SUITES, environment=forced
            )
            if status != 0 or not path.exists():
                return status or 1
            runs[level] = summary_of(path)
            path.unlink()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(runs, indent=1), encoding="utf-8")
    print("", section(runs), sep="\n")
    print(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
