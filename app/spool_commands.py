"""``python -m app store spool``: look at what waits for the DNAStore. Works while the service runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sys
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from app.endings import fail
from app.server.failures import settings_failure
from core.errors import DomainError
from core.settings import load_settings
from core.settings_loading import EXIT_CODE, SettingsError
from core.spool.looking import Shown
from core.spool.opening import SpoolUnusableError, open_spool
from core.spool.reading import State
from core.spool.spool import Spool, wall_clock
from core.timestamps import timestamp
from sigil_native.cli.output import printable

_T = TypeVar("_T")

#: sysexits.h: EX_UNAVAILABLE.
_UNAVAILABLE: Final = 69
_MOST_ROWS: Final = 200
_WIDTH: Final = 200

_development = click.option("--development", is_flag=True, help="The same as SIGIL_ENVIRONMENT=development.")


@click.group()
def spool() -> None:
    """Look at what waits for the DNAStore on this host, and what that has refused for good."""


@spool.command()
@_development
@click.option(
    "--rows", default=20, show_default=True, type=click.IntRange(0, _MOST_ROWS), help="In the table."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, without the table.")
def show(rows: int, *, as_json: bool, development: bool) -> None:
    """How much waits, for how long, and what was rejected and why; rejected writes come first."""

    async def work(opened: Spool) -> tuple[State, Sequence[Shown]]:
        return opened.state(), await opened.look(_first, rows)

    with _opened(development=development) as opened:
        state, shown = _run(opened, work(opened))
    oldest = max(wall_clock() - state.first_at_ms, 0) / 1000 if state.writes else 0.0
    summary = {
        "writes": state.writes,
        "bytes": state.size,
        "oldest_seconds": round(oldest, 3),
        "rejected": state.rejected,
        "rejected_bytes": state.rejected_size,
    }
    if as_json:
        click.echo(msgspec.json.encode(summary))
        return
    click.echo(f"{state.writes} writes wait, {state.size} bytes, the oldest for {oldest:.0f} s")
    click.echo(f"{state.rejected} writes rejected, {state.rejected_size} bytes")
    if shown:
        _print_table(shown)


@spool.command()
@_development
def retry(*, development: bool) -> None:
    """Put all rejected writes back to the end; the service forwards them."""
    with _opened(development=development) as opened:
        count = _run(opened, opened.retry())
    click.echo(f"{count} writes wait again")


@spool.command()
@_development
@click.argument("file", type=click.Path(path_type=Path))
def export(file: Path, *, development: bool) -> None:
    """Write all that waits or was rejected to a new FILE, for its owner alone: a JSON object a line.

    Nothing is taken out of the spool. The lines hold payloads.
    """
    with _opened(development=development) as opened:
        try:
            count = _export(opened, file)
        except OSError as error:
            fail(f"could not be finished: {file}: {error.strerror or error}", _UNAVAILABLE)
    click.echo(f"{count} writes in {file}")


def _export(opened: Spool, file: Path) -> int:
    """Write everything to a new file, which has its name when it is whole; how many writes it were."""

    def write(shown: Iterator[Shown]) -> int:
        count = 0
        with os.fdopen(descriptor, "wb") as output:
            for count, one in enumerate(shown, start=1):  # noqa: B007 - the last one's
                output.write(msgspec.json.encode(one._asdict()) + b"\n")
            output.flush()
            os.fsync(output.fileno())
        return count

    if os.path.lexists(file):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        count = _run(opened, opened.look(write))
        # Not renamed: that would replace a file that is there by now.
        os.link(draft, file)
    finally:
        draft.unlink()
    return count


def _first(shown: Iterator[Shown], rows: int) -> list[Shown]:
    """Some rows to show: what was rejected before what waits."""
    rejected: list[Shown] = []
    waiting: list[Shown] = []
    for one in shown:
        some = rejected if one.state == "rejected" else waiting
        if len(some) < rows:
            some.append(one)
    return [*rejected, *waiting][:rows]


def _print_table(shown: Sequence[Shown]) -> None:
    # 60 ms, and only where somebody looks.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("sequence", "state", "kind", "tenant")
    table.add_column("record", no_wrap=True, min_width=36)
    table.add_column("since")
    table.add_column("bytes", justify="right")
    for one in shown:
        state = f"rejected: {one.reason}" if one.state == "rejected" else one.state
        cells = (state, one.kind, one.tenant, one.record_id, timestamp(one.at_ms), str(one.size))
        table.add_row(str(one.sequence), *map(printable, cells))
    # In a pipe there is no width to keep to.
    width = None if sys.stdout.isatty() else _WIDTH
    Console(markup=False, highlight=False, width=width).print(table)


@contextlib.contextmanager
def _opened(*, development: bool) -> Iterator[Spool]:
    """The spool of the settings; ends the process with a line that says what is wrong."""
    try:
        settings = load_settings("development" if development else None)
        path = settings.spool_file(settings.data_dir)
        if path is None:
            raise SettingsError(["DNASTORE_SPOOL: off, so there is no spool"])
        if not path.exists():
            fail(f"DNASTORE_SPOOL: {path}: there is no such spool", _UNAVAILABLE)
        yield open_spool(path, settings.spool_bounds, data_dir=settings.data_dir)
    except SpoolUnusableError as error:
        fail(str(error), _UNAVAILABLE)
    except SettingsError as error:
        fail(str(settings_failure(error)), EXIT_CODE)
    except DomainError as error:
        fail(f"could not be finished: {error}", _UNAVAILABLE)
    except OSError as error:
        fail(f"could not be finished: {error.filename or ''}: {error.strerror}", _UNAVAILABLE)


def _run(opened: Spool, work: Coroutine[Any, Any, _T]) -> _T:
    async def run() -> _T:
        try:
            return await work
        finally:
            await opened.close()

    return asyncio.run(run())
