"""Plots as SVG that takes its colours from the page, so that they suit light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from soak.evidence import Evidence, over
from soak.results import Panel, Series

#: Colours that nothing else has: they become variables of the page's style.
_INK: Final = "#010203"
_LINES: Final = "#010204"
_VARIABLES: Final = {_INK: "var(--ink)", _LINES: "var(--lines)"}
#: Told apart by eyes of all kinds, on light and dark (Okabe and Ito).
COLOURS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#b8860b",
    "#56b4e9",
    "#8a6fd1",
    "#7f7f7f",
    "#6b8e23",
)
_FAULTS: Final = {"redis": "#d55e00", "dnastore": "#cc79a7", "keys": "#009e73"}
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": _LINES,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _LINES,
    "grid.linewidth": 0.5,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.2,
}
_UNITS: Final = {"percentunit": ("%", 100.0), "bytes": ("MiB", 1 / (1 << 20)), "s": ("s", 1.0)}
_MOST_SERIES: Final = 12
#: Of a legend below a small plot: characters in a line, and inches of a line.
_LINE_OF_LEGEND: Final = 72
_ROW_OF_LEGEND: Final = 0.17


class Canvas:
    """One figure with one pair of axes, time in minutes since the run began."""

    def __init__(self, evidence: Evidence, title: str, unit: str, *, small: bool = False) -> None:
        self._evidence = evidence
        self._title = title
        self._small = small
        self._figure = Figure(figsize=(4.6, 2.3) if small else (9.6, 3.0))
        # Fixed margins: to find them out takes several times as long as all else.
        left, bottom = (0.15, 0.2) if small else (0.08, 0.16)
        self._figure.subplots_adjust(left=left, right=0.98, top=0.89, bottom=bottom)
        self.axes: Axes = self._figure.add_subplot()
        self.axes.set_title(title)
        self.axes.set_ylabel(unit)

    def line(self, times: Sequence[float], values: Sequence[float], label: str, **style: Any) -> None:
        """Draw values over seconds since the epoch."""
        began = self._evidence.run.started_at
        self.axes.plot([(at - began) / 60 for at in times], values, label=label, **style)

    def bands(self) -> None:
        """Show faults as bands, what they took to recover from paler, and the end of the warm-up."""
        began = self._evidence.run.started_at
        self.axes.set_xlabel("minutes")
        self.axes.set_xlim(0, (self._evidence.ended_at - began) / 60)
        self.axes.axvline(self._evidence.run.warm_up / 60, color=_LINES, linestyle=":", linewidth=1)
        for fault in self._evidence.faults:
            colour = _FAULTS[fault.target]
            begin, end, whole = (one - began for one in (fault.began_at, fault.ended_at, over(fault)))
            self.axes.axvspan(begin / 60, end / 60, color=colour, alpha=0.22, linewidth=0)
            self.axes.axvspan(end / 60, whole / 60, color=colour, alpha=0.09, linewidth=0)

    def logarithmic(self) -> None:
        """Equal ratios are equal heights; numbers are written out, 200 and not a power of ten."""
        self.axes.set_yscale("log")
        self.axes.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False))
        self.axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.5, 0.5)))

    def svg(self) -> str:
        """The picture as an SVG element."""
        lines, names = self.axes.get_legend_handles_labels()
        if 1 < len(names) <= _MOST_SERIES or (names and names[0]):
            if self._small:
                self._legend_below(lines, names)
            else:
                self.axes.legend(lines, names, ncols=min(len(names), 4), loc="best")
        return _svg(self._figure, self._title)

    def _legend_below(self, lines: Sequence[Any], names: Sequence[str]) -> None:
        """In room of its own: it would lie over half of a small plot, and over what it names."""
        columns = min(len(names), max(1, _LINE_OF_LEGEND // (max(map(len, names)) + 8)))
        room = _ROW_OF_LEGEND * -(-len(names) // columns)
        width, height = self._figure.get_size_inches()
        margins = self._figure.subplotpars
        higher = height + room
        self._figure.set_size_inches(width, higher)
        top, bottom = 1 - (1 - margins.top) * height / higher, (margins.bottom * height + room) / higher
        self._figure.subplots_adjust(top=top, bottom=bottom)
        self._figure.legend(lines, names, ncols=columns, loc="lower left", borderaxespad=0.2)


def _svg(figure: Figure, name: str) -> str:
    file = io.StringIO()
    # Of its own salt: the ids of two pictures in one page must differ.
    salted: dict[Any, Any] = {"svg.hashsalt": name}
    with mpl.rc_context(salted):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


@contextmanager
def house_style() -> Iterator[None]:
    """How all plots look; other users of matplotlib see nothing of it."""
    with mpl.rc_context(_STYLE):
        yield


def panel_plot(evidence: Evidence, panel: Panel) -> str:
    """What Prometheus answered for a panel: a line a series, or a heat map; empty panels say so."""
    unit, factor = _UNITS.get(panel.unit, (panel.unit, 1.0))
    canvas = Canvas(evidence, panel.title, unit, small=True)
    if not any(series.points for of in panel.series for series in of):
        canvas.axes.text(0.5, 0.5, "no data", ha="center", va="center", transform=canvas.axes.transAxes)
    elif panel.kind == "heatmap":
        _heat_map(canvas, evidence.run.started_at, panel.series[0])
    else:
        _panel_lines(canvas, panel, factor)
    canvas.bands()
    return canvas.svg()


def _panel_lines(canvas: Canvas, panel: Panel, factor: float) -> None:
    shown = [
        (legend_of(legend, series.labels), series.points)
        for (_, legend), of in zip(panel.queries, panel.series, strict=False)
        for series in of
    ]
    for label, points in shown[:_MOST_SERIES]:
        marker = "o" if len(points) < 3 else None
        canvas.line(
            [at for at, _ in points], [value * factor for _, value in points], label, marker=marker, ms=3
        )
    if len(shown) > _MOST_SERIES:
        canvas.axes.set_title(f"{panel.title} ({_MOST_SERIES} of {len(shown)} series)")


def _heat_map(canvas: Canvas, began: float, buckets: Sequence[Series]) -> None:
    """A row for each bucket of a histogram, darker where more observations fell into it."""
    rows = sorted(buckets, key=lambda one: float(one.labels["le"]))
    times = sorted({at for row in rows for at, _ in row.points})
    column = {at: number for number, at in enumerate(times)}
    up_to = np.zeros((len(rows), len(times)))
    for number, row in enumerate(rows):
        for at, value in row.points:
            up_to[number, column[at]] = value
    # A bucket of Prometheus holds the smaller ones too. Increases are extrapolated, so they differ a little.
    own = np.maximum(np.diff(up_to, axis=0, prepend=0), 0)
    step = min(np.diff(times), default=60.0)
    edges = np.array([*times, times[-1] + step]) - began
    canvas.axes.pcolormesh(
        edges / 60,
        np.arange(len(rows) + 1),
        np.ma.masked_less(own, 1e-9),
        cmap="YlOrRd",
        norm=PowerNorm(0.5, vmin=0),
        rasterized=True,
    )
    named = range(0, len(rows), max(1, len(rows) // 5))
    canvas.axes.set_yticks([number + 1 for number in named], [rows[number].labels["le"] for number in named])
    canvas.axes.set_ylabel("up to, s")
    canvas.axes.grid(visible=False)


def legend_of(legend: str, labels: dict[str, str]) -> str:
    """A legend of Grafana's form, ``{{label}}``, filled in; the labels where there is none."""
    filled = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), legend).strip()
    text = filled or ", ".join(
        f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__"
    )
    text = text.lstrip("_") or "value"
    return text if len(text) <= 40 else text[:39] + "…"
