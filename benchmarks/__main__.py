"""Time every row beside its peer, and print one table; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benchmarks.picture import draw
from benchmarks.running import summary_of, time_rows, timing_options
from benchmarks.table import terminal_table


def main() -> int:
    """Run the rows that match and show them; 0 whatever the verdicts are, unless a row could not be timed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options = timing_options(parser, rounds=40, path="reports/bench.json")
    try:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(b"")
        options.json.unlink()  # a run that fails must not show the one before
    except OSError as error:
        parser.error(f"--json: {options.json}: {error.strerror}")
    ran = time_rows(options.json, only=options.only, rounds=options.rounds)
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
