"""What a comparison tells: a table, JSON, and a picture of the changes with their intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.table import Table

from benchmarks.comparing.measuring import Result

_COLOURS: Final = {
    "slower": "red",
    "faster": "green",
    "same": "default",
    "unclear": "yellow",
    "new": "cyan",
    "broken": "red",
}


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    nanoseconds = seconds * 1e9
    return f"{nanoseconds:,.0f} ns" if nanoseconds < 10_000 else f"{nanoseconds / 1000:,.1f} µs"


def table(results: Sequence[Result], base: str, margin: float) -> Table:
    """The results as a table."""
    drawn = Table(title=f"Processor time of an item: the working tree beside {base}, margin {margin:.0%}")
    for heading in ("Row", "Base", "Head", "Change", "Interval", "Launches", "Verdict"):
        left = heading in {"Row", "Verdict"}
        drawn.add_column(heading, justify="left" if left else "right", no_wrap=heading != "Row")
    for result in results:
        finding = result.finding
        change = f"{finding.change:+.1%}" if finding else ""
        interval = f"{finding.low:+.1%} to {finding.high:+.1%}" if finding else ""
        colour = _COLOURS[result.verdict]
        launches = str(result.launches or "")
        times = (_duration(result.base), _duration(result.head))
        drawn.add_row(result.row, *times, change, interval, launches, f"[{colour}]{result.verdict}[/]")
    return drawn


def write_json(results: Sequence[Result], path: Path, *, base: str, margin: float, seconds: float) -> None:
    """Write all figures; times in seconds an item, changes as shares of the base."""
    rows = [
        {**result._asdict(), "finding": result.finding._asdict() if result.finding else None}
        for result in results
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"base": base, "margin": margin, "seconds": round(seconds, 1), "rows": rows}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def draw(results: Sequence[Result], path: Path, *, base: str, margin: float) -> None:
    """Draw each row's change and interval, as SVG and as PNG beside it."""
    import matplotlib as mpl  # noqa: PLC0415 - slow, and for the picture alone

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "sigil"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    shown = [(result.row, result.verdict, result.finding) for result in results if result.finding][::-1]
    colours = {"slower": "C3", "faster": "C2", "unclear": "C1"}
    picture, axes = plt.subplots(figsize=(9, 1.5 + 0.32 * len(shown)))
    axes.axvspan(-100 * margin, 100 * margin, color="0.93", label="margin")
    axes.axvline(0, color="0.6", linewidth=1)
    for height, (_, verdict, finding) in enumerate(shown):
        colour = colours.get(verdict, "C0")
        axes.plot([100 * finding.low, 100 * finding.high], [height, height], color=colour)
        axes.plot([100 * finding.change], [height], marker="o", color=colour)
    axes.set_yticks(range(len(shown)), [row for row, _, _ in shown])
    axes.set(xlabel="change of the processor time, per cent", title=f"The working tree beside {base}")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    picture.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={"Date": None})
    picture.savefig(path.with_suffix(".png"))
    plt.close(picture)
