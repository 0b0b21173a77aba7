"""A run's rows as a table on the terminal, and as one in Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from benchmarks.summary import Figures, Summary

HEADINGS = ("what", "against", "ours", "peer", "measured", "goal")


def machine(summary: Summary) -> str:
    """What the figures were measured on, in a line."""
    kernels = ", ".join(name for name in summary["kernels"] if name != "portable")
    return (
        f"{summary['processor']}, {summary['processors']} processors"
        f" ({kernels or 'no SHA extensions'}), Python {summary['python']}, {summary['date']}"
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    nanoseconds = seconds * 1e9
    return f"{nanoseconds:,.0f} ns" if nanoseconds < 10_000 else f"{nanoseconds / 1000:,.1f} µs"


def figure(figures: Figures) -> str:
    """What was measured, with its unit."""
    return f"{figures['measured']:.2f}{'' if figures['unit'] == 'x' else ' '}{figures['unit']}"


def goal(figures: Figures) -> str:
    """The goal of a row, and from which side it is reached."""
    sign = "≤" if figures["at_most"] else "≥"
    return f"{sign} {figures['goal']:g}{'' if figures['unit'] == 'x' else ' '}{figures['unit']}"


def cells(figures: Figures) -> tuple[str, ...]:
    """What the columns of a row say, the verdict aside."""
    ratio = figures["unit"] == "x"
    return (
        figures["row"],
        figures["against"],
        _time(figures["ours"]) if ratio else "",
        _time(figures["peer"]),
        figure(figures),
        goal(figures),
    )


def verdict(figures: Figures) -> str:
    """Whether the goal is reached, in a word."""
    return "reached" if figures["reached"] else "missed"


def terminal_table(summary: Summary) -> Table:
    """The rows for people in front of a terminal."""
    reached = sum(figures["reached"] for figures in summary["rows"])
    table = Table(
        title=f"{machine(summary)}, {summary['backend']} backend",
        caption=f"{reached} of {len(summary['rows'])} goals reached; times are for an event, message or call",
    )
    for heading in HEADINGS:
        words = heading in HEADINGS[:2]
        table.add_column(
            heading.capitalize(),
            overflow="fold",
            justify="left" if words else "right",
            no_wrap=not words,
        )
    table.add_column("Verdict", no_wrap=True)
    for figures in summary["rows"]:
        colour = "green" if figures["reached"] else "red"
        table.add_row(*cells(figures), f"[{colour}]{verdict(figures)}[/]")
    return table


def markdown_lines(summary: Summary) -> Iterator[str]:
    """The rows for a page."""
    yield "| " + " | ".join((*HEADINGS, "verdict")) + " |"
    yield "|" + "---|" * (len(HEADINGS) + 1)
    for figures in summary["rows"]:
        word = verdict(figures)
        yield "| " + " | ".join((*cells(figures), word if figures["reached"] else f"**{word}**")) + " |"
