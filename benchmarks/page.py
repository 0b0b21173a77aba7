"""Puts a run into the documentation: ``python -m benchmarks.page [reports/bench.json]``.

What stands between the markers of docs/benchmarks.md is written anew, and the picture beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from benchmarks.picture import draw
from benchmarks.summary import Summary
from benchmarks.table import machine, markdown_lines

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
_PICTURE: Final = "images/benchmarks.svg"
BEGIN: Final = "<!-- begin: make bench-page -->"
END: Final = "<!-- end: make bench-page -->"


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
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{section(summary)}\n\n{END}{after}"


def main() -> int:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", default=Path("reports/bench.json"), metavar="FILE")
    options = parser.parse_args()
    summary: Summary = json.loads(options.run.read_text(encoding="utf-8"))["sigil"]
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), summary), encoding="utf-8")
    draw(summary, [PAGE.parent / _PICTURE])
    return 0


if __name__ == "__main__":
    sys.exit(main())
