"""Puts a run into the documentation: ``python -m benchmarks.page [RUN [LEVELS]]``.

What stands between the markers of docs/benchmarks.md is written anew, and the picture beside it; the same
for the run at every level, where there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from benchmarks import levels
from benchmarks.picture import draw
from benchmarks.running import summary_of
from benchmarks.summary import Summary
from benchmarks.table import machine, markdown_lines

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
_PICTURE: Final = "images/benchmarks.svg"
BEGIN: Final = "<!-- begin: make bench-page -->"
END: Final = "<!-- end: make bench-page -->"
LEVELS_BEGIN: Final = "<!-- begin: make bench-levels -->"
LEVELS_END: Final = "<!-- end: make bench-levels -->"


def section(summary: Summary) -> str:
    """What stands between the markers."""
    reached = sum(figures["reached"] for figures in summary["rows"])
    lines = [
        f"{machine(summary)}: {reached} of {len(summary['rows'])} goals are reached.",
        "",
        f"![measured, as a fraction of the goal]({_PICTURE})",
        "",
        *markdown_lines(summary),
    ]
    return "\n".join(lines)


def renewed(page: str, summary: Summary) -> str:
    """A page with a run in place of the one before.

    Raises:
        ValueError: the page has no markers.
    """
    return between(page, BEGIN, section(summary), END)


def renewed_levels(page: str, runs: levels.Runs) -> str:
    """The same for runs at every level.

    Raises:
        ValueError: the page has no markers.
    """
    return between(page, LEVELS_BEGIN, levels.section(runs), LEVELS_END)


def between(page: str, begin: str, text: str, end: str) -> str:
    """A page with this text between its markers.

    Raises:
        ValueError: the page has no markers.
    """
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the page lacks {begin} and {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main() -> int:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("reports/bench.json"), metavar="FILE")
    parser.add_argument(
        "levels", type=Path, nargs="?", default=Path("reports/bench-levels.json"), metavar="LEVELS"
    )
    options = parser.parse_args()
    if not options.run.exists() and not options.levels.exists():
        parser.error(f"neither {options.run} nor {options.levels} is there")
    page = PAGE.read_text(encoding="utf-8")
    if options.levels.exists():
        page = renewed_levels(page, json.loads(options.levels.read_text(encoding="utf-8")))
    if options.run.exists():
        summary = summary_of(options.run)
        page = renewed(page, summary)
        draw(summary, [PAGE.parent / _PICTURE])
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
