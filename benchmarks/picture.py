"""Draws a run: how much of its goal each row reaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.summary import Figures, Summary
from benchmarks.table import cells, machine

_COLOURS = {True: "#2a9d6f", False: "#c8553d"}


def draw(summary: Summary, paths: Sequence[Path]) -> None:
    """Draw bars to files, whose names say in which format."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and for the picture alone

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "sigil"
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    rows = summary["rows"]
    picture, axes = plt.subplots(figsize=(11, 1.6 + 0.24 * len(rows)), layout="constrained")
    # Bars begin at the goal: to the right of it is reached.
    axes.barh(
        range(len(rows)),
        [figures["fraction"] - 1 for figures in rows],
        left=1,
        color=[_COLOURS[figures["reached"]] for figures in rows],
    )
    for place, figures in enumerate(rows):
        beyond = figures["fraction"] >= 1
        axes.annotate(
            _beside(figures),
            (figures["fraction"], place),
            xytext=(4 if beyond else -4, 0),
            textcoords="offset points",
            ha="left" if beyond else "right",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(range(len(rows)), [f"{one['row']}  /  {one['against']}" for one in rows], fontsize=7)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    fractions = [1.0, *(figures["fraction"] for figures in rows)]
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(fractions) / 1.6, max(fractions) * 1.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("measured, as a fraction of the goal (1 = reached)")
    axes.grid(axis="x", alpha=0.3)
    axes.margins(y=0.01)
    axes.legend(
        handles=[Patch(color=_COLOURS[True], label="reached"), Patch(color=_COLOURS[False], label="missed")],
        loc="lower right",
    )
    picture.suptitle(machine(summary), fontsize=9)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Date": None} if path.suffix == ".svg" else None
        picture.savefig(path, dpi=130, metadata=metadata)
    plt.close(picture)


def _beside(figures: Figures) -> str:
    *_, measured, goal = cells(figures)
    return f"{measured} ({goal})"
