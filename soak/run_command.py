"""``python -m soak run``."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live

from soak.faults import ALL
from soak.notify import NotificationError, webhook_url
from soak.plan import SCENARIOS
from soak.results import RUN, Failure, Target

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Calls a second of one user, unless a rate is given.
_USERS_RATE: Final = 1.0
_SHORTEST: Final = 10.0
#: Where the last verdict is kept: the webhook hears of changes alone.
STATE: Final = "soak-last-verdict.json"


class Duration(click.ParamType[float]):
    """``90s``, ``30m``, ``4h``, ``1h30m``; a number alone is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        if text.isascii() and text.isdigit():
            text += "s"
        if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
            self.fail(f"{value!r} is no duration like 90s, 30m, 4h or 1h30m", param, ctx)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
        if seconds < _SHORTEST:
            self.fail(f"a run takes {_SHORTEST:.0f} seconds at least", param, ctx)
        return seconds


class Scenarios(click.ParamType[dict[str, float]]):
    """``encode=2,verify``: names, each with its share of the users, 1 if none is given."""

    name = "scenarios"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """Each scenario's share."""
        if isinstance(value, dict):
            return value
        shares: dict[str, float] = {}
        for part in str(value).split(","):
            name, equals, share = part.strip().partition("=")
            if name not in SCENARIOS:
                self.fail(f"{name!r} is none of {', '.join(SCENARIOS)}", param, ctx)
            if name in shares:
                self.fail(f"{name!r} is there twice", param, ctx)
            if equals and not re.fullmatch(r"\d+(\.\d+)?", share):
                self.fail(f"{share!r} is no share", param, ctx)
            shares[name] = float(share) if equals else 1.0
        if not any(shares.values()):
            self.fail("nobody would do anything", param, ctx)
        return shares


class FaultKinds(click.ParamType[Sequence[tuple[Target, Failure]]]):
    """``none``, ``all``, or ``redis,dnastore/frozen``: targets, or one of their faults."""

    name = "faults"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sequence[tuple[Target, Failure]]:
        """Those that are made, in the order in which they always come."""
        if not isinstance(value, str):
            return tuple(value)
        if value in {"none", "all"}:
            return ALL if value == "all" else ()
        wanted = {part.strip() for part in value.split(",")}
        names = {target for target, _ in ALL} | {f"{target}/{failure}" for target, failure in ALL}
        if unknown := wanted - names:
            self.fail(f"{min(unknown)!r} is none of {', '.join(sorted(names))}", param, ctx)
        return tuple(kind for kind in ALL if kind[0] in wanted or "/".join(kind) in wanted)


@click.command("run")
@click.option("--duration", type=Duration(), default="4h", show_default=True)
@click.option("--users", type=click.IntRange(1, 5000), default=50, show_default=True)
@click.option("--rate", type=click.FloatRange(0.1, 100_000), help="Calls a second; 1 a user by default.")
@click.option("--scenarios", type=Scenarios(), default=dict(SCENARIOS), help="Such as encode=2,verify.")
@click.option("--faults", type=FaultKinds(), default="all", show_default=True, help="all, none, or some.")
@click.option("--results", "folder", type=click.Path(path_type=Path, file_okay=False), help="A new folder.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Of the service.")
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of load.")
@click.option("--batch", type=click.IntRange(1, 900), default=10, show_default=True, help="Lines of a batch.")
@click.option("--history/--no-history", default=True, show_default=True, help="Chain what is written.")
@click.option("--keep", is_flag=True, help="Keep the databases, even if nothing was wrong.")
@click.option("--report/--no-report", "with_report", default=True, show_default=True, help="Draw it.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"A file with the last verdict, for the webhook; {STATE} beside the results folder by default.",
)
@click.option("--service-command", help="What is started as the service; serve --development is added.")
@click.option("--planted", help="Names a defect that this command has on purpose.")
def run_command(
    duration: float,
    users: int,
    rate: float | None,
    folder: Path | None,
    service_command: str | None,
    with_report: bool,
    state: Path | None,
    **rest: Any,
) -> None:
    """Put a service, and all that it needs, under load; then judge it.

    Ends as the verdict does, with 0: pass, 1: fail, 3: inconclusive. A run that ends early is judged as far
    as it got.
    """
    from soak import run  # noqa: PLC0415 - slow, and not for --help
    from soak.progress import Display  # noqa: PLC0415

    folder = folder or Path("reports") / time.strftime("soak-%Y%m%d-%H%M%S")
    command = None if service_command is None else _command(service_command)
    for program in ("redis-server", "prometheus"):
        if shutil.which(program) is None:
            raise click.UsageError(f"{program} is not installed")
    try:
        webhook_url()
    except NotificationError as error:
        raise click.UsageError(str(error)) from None
    options = run.Options(
        folder=folder.absolute(),
        seconds=duration,
        users=users,
        rate=rate or users * _USERS_RATE,
        service_command=command,
        **rest,
    )
    console = Console(stderr=True)
    display = Display(options.folder, options.seconds)
    try:
        with Live(console=console, get_renderable=display.render, refresh_per_second=1):
            run.run(options, display.tell)
    except FileExistsError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        if (options.folder / RUN).exists():
            raise
        raise click.UsageError(f"--results: {error.filename}: {error.strerror}") from None
    except run.IncompleteError as error:
        click.echo(f"incomplete: {error}", err=True)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
    from soak.cli import conclude  # noqa: PLC0415 - it has this command

    code = conclude(options.folder, state or options.folder.with_name(STATE), with_report=with_report)
    if code == 0 and not options.keep:
        run.forget_databases(options.folder)
    sys.exit(code)


def _command(text: str) -> tuple[str, ...]:
    """A command's words, the first of which can be run."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise click.UsageError(f"--service-command: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise click.UsageError("--service-command: no such program")
    return words
