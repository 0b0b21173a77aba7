"""Time every row beside its peer, and print one table; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.picture import draw
from benchmarks.rows import all_rows
from benchmarks.running import QUICK, summary_of, time_rows
from benchmarks.table import terminal_table


def main() -> int:
    """Run the rows that match and show them; 0 whatever the verdicts are, unless a row could not be timed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of 10 ms for each side of a row")
    parser.add_argument("--quick", action="store_true", help=f"--rounds {QUICK}: whether it works, no more")
    parser.add_argument("--json", type=Path, default=Path("reports/bench.json"), metavar="FILE")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if not any(options.only in row.name for row in all_rows()):
        parser.error(f"--only: no row has {options.only!r} in its name")
    try:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(b"")
        options.json.unlink()  # a run that fails must not show the one before
    except OSError as error:
        parser.error(f"--json: {options.json}: {error.strerror}")
    ran = time_rows(options.json, only=options.only, rounds=QUICK if options.quick else options.rounds)
    if not options.json.exists():
        return ran or 1
    summary = summary_of(options.json)
    Console(width=None if sys.stdout.isatty() else 150).print(terminal_table(summary))
    pictures = [options.json.with_suffix(suffix) for suffix in (".svg", ".png")]
    draw(summary, pictures)
    print(*(path for path in (options.json, *pictures)))
    return ran


if __name__ == "__main__":
    sys.exit(main())
