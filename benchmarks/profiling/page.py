"""Puts the baseline into the documentation: ``python -m benchmarks.profiling.page``.

What stands between the markers of docs/benchmarks.md is written anew, and the picture beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from benchmarks.page import PAGE, between
from benchmarks.profiling.counts import BASELINE, Counts, read
from benchmarks.profiling.report import markdown_lines

_PICTURE: Final = "images/profile.svg"
BEGIN: Final = "<!-- begin: make profile-baseline -->"
END: Final = "<!-- end: make profile-baseline -->"


def section(counts: Counts) -> str:
    """What stands between the markers."""
    made = counts.toolchain
    lines = [
        f"{made['compiler']}; Python {made['python']}; {made['libc']}; valgrind {made['valgrind']},"
        f" {made['machine']}.",
        "Instructions of an item by the transcoder's vector level, and which of the first level's are"
        f" {next(iter(counts.levels.values())).kernel} SHA-256:",
        "",
        f"![instructions of an item]({_PICTURE})",
        "",
        *markdown_lines(counts.levels),
    ]
    return "\n".join(lines)


def renewed(page: str, counts: Counts) -> str:
    """A page with these counts in place of those before.

    Raises:
        ValueError: the page has no markers.
    """
    return between(page, BEGIN, section(counts), END)


def draw(counts: Counts, path: Path) -> None:
    """Draw each operation's instructions besides SHA-256, at every level."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and for the picture alone

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "sigil"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    names = list(next(iter(counts.levels.values())).operations)
    picture, axes = plt.subplots(figsize=(10, 1.6 + 0.24 * len(names)), layout="constrained")
    for (name, level), marker in zip(reversed(counts.levels.items()), "s^o", strict=False):
        places = [names.index(operation) for operation in level.operations if operation in names]
        besides = [level.operations[names[place]].besides for place in places]
        axes.plot(besides, places, marker, markersize=5, label=name)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("instructions of an item, besides SHA-256")
    axes.grid(alpha=0.3)
    axes.legend(title="transcoder", loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})
    plt.close(picture)


def main() -> int:
    """Write the page and the picture."""
    counts = read(BASELINE)
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), counts), encoding="utf-8")
    draw(counts, PAGE.parent / _PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
