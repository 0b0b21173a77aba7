"""How the commands for stores show what they do, and what they find."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click
import msgspec

from core.history.findings import NOTICES, Finding
from sigil_native.cli.output import printable

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

#: Told the amount that is done, and what it is.
Advance = Callable[[int], None]


class Display:
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    @contextlib.contextmanager
    def task(self, name: str, total: int | None) -> Iterator[Advance]:
        """One bar among the others, for as long as this is open."""
        progress = self._progress
        if progress is None:
            yield lambda amount: None
            return
        task = progress.add_task(printable(name), total=total)
        try:
            yield lambda amount: progress.advance(task, amount)
        finally:
            progress.remove_task(task)


@contextlib.contextmanager
def display(unit: str) -> Iterator[Display]:
    """Bars that count in this unit; gone afterwards."""
    if not sys.stderr.isatty():
        yield Display(None)
        return
    # 60 ms, and only where somebody looks.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text  # noqa: PLC0415

    class _Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            """Units a second."""
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} {unit}/s")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Display(progress)


class FindingsShown:
    """Findings on standard output: a table at the end for people, otherwise a line for each as it is found."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._as_table = not as_json and sys.stdout.isatty()
        self._kept: list[Finding] = []

    def tell(self, finding: Finding) -> None:
        """One more."""
        if self._as_json:
            click.echo(msgspec.json.encode(finding))
        elif self._as_table:
            self._kept.append(finding)
        else:
            click.echo("  ".join(_cells(finding)))

    def finish(self) -> None:
        """Show the table, if there is to be one."""
        if not self._kept:
            return
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*_HEADINGS)
        for finding in self._kept:
            style = "yellow" if finding.kind in NOTICES else "red"
            kind, *others = _cells(finding)
            table.add_row(Text(kind, style=style), *map(Text, others))
        Console().print(table)


_HEADINGS: Final = ("finding", "tenant", "record", "entry", "what")


def _cells(finding: Finding) -> Sequence[str]:
    texts = (finding.tenant, finding.record_id, finding.place, finding.detail)
    return [finding.kind, *("-" if not text else printable(text) for text in texts)]
