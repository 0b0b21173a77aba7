"""What a run tells: a table for each level, and the functions that take most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from benchmarks.profiling import callgrind
from benchmarks.profiling.counts import Level
from benchmarks.profiling.judging import Result
from benchmarks.profiling.measuring import Counted

_COLOURS: Final = {
    "more": "red",
    "less": "green",
    "same": "default",
    "new": "cyan",
    "not compared": "default",
}
_MOST: Final = 5


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _percent(change: float | None) -> str:
    return "" if change is None else f"{change:+.1f} %"


def table(name: str, level: Level, results: Sequence[Result]) -> Table:
    """A level's operations; changes beyond the tolerance have a colour."""
    drawn = Table(title=f"Instructions of an item: transcoder {name}, SHA-256 {level.kernel}")
    for heading in ("Operation", "Now", "Baseline", "Change", "SHA-256", "Besides", "Change", "Verdict"):
        left = heading in {"Operation", "Verdict"}
        drawn.add_column(heading, justify="left" if left else "right", no_wrap=heading != "Operation")
    for result in results:
        now, before = result.now, result.baseline
        drawn.add_row(
            result.operation,
            _number(now.instructions),
            _number(before.instructions) if before else "",
            _percent(result.change),
            _number(now.hashing),
            _number(now.besides),
            _percent(result.change_besides),
            f"[{_COLOURS[result.verdict]}]{result.verdict}[/]",
        )
    return drawn


def most_expensive(counted: Counted) -> Iterator[str]:
    """The functions that take most of an operation, a line each: instructions of an item, and their share."""
    spent = callgrind.functions_of(counted.profile)
    yield f"{counted.operation} ({counted.level}): {counted.profile}"
    for function, count in spent.most_common(_MOST):
        share = count / spent.total()
        yield f"  {count / counted.items:12,.1f}  {share:6.1%}  {function.short}"


def markdown_lines(levels: dict[str, Level]) -> Iterator[str]:
    """Instructions at every level, for a page."""
    names = list(levels)
    yield "| operation | " + " | ".join(names) + " | SHA-256 of it | besides |"
    yield "|---|" + "---|" * (len(names) + 2)
    for operation, best in levels[names[0]].operations.items():
        cells = [
            _number(found.instructions) if (found := levels[name].operations.get(operation)) else ""
            for name in names
        ]
        cells += [_number(best.hashing), _number(best.besides)]
        yield f"| {operation} | " + " | ".join(cells) + " |"
