"""Has rows timed in a process of their own, by pytest-benchmark."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.rows import rows_with
from benchmarks.summary import Summary

_SUITES: Final = Path(__file__).parent
#: Rounds of a run that only shows whether everything works.
_QUICK: Final = 8


def timing_options(parser: argparse.ArgumentParser, *, rounds: int, path: str) -> argparse.Namespace:
    """Read the options of a run: ``only``, ``rounds`` and ``json``; ``rounds`` and ``path`` unless told."""
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds of 10 ms for each side of a row")
    parser.add_argument("--quick", action="store_true", help=f"--rounds {_QUICK}: whether it works, no more")
    parser.add_argument("--json", type=Path, default=Path(path), metavar="FILE")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if not rows_with(options.only):
        parser.error(f"--only: no row has {options.only!r} in its name")
    if options.quick:
        options.rounds = _QUICK
    return options


def time_rows(
    path: Path,
    *,
    only: str,
    rounds: int,
    suites: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
) -> int:
    """Time the rows that match, and leave what came out in a JSON file.

    Args:
        path: of the file; its folder is there, and it is not.
        only: text in the rows' names.
        rounds: of 10 ms for each side of a row.
        suites: all of them unless some are named.
        environment: variables to set.

    Returns:
        Pytest's exit status.
    """
    places = [str(_SUITES / f"test_{suite}.py") for suite in suites] or [str(_SUITES)]
    command = [sys.executable, "-m", "pytest", *places, "-c", str(_SUITES / "pytest.ini")]
    command += [f"--rows={only}", f"--rounds={rounds}"]
    command += [f"--benchmark-json={path.absolute()}", "-p", "no:cacheprovider"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, env=inherited | dict(environment or {}), check=False).returncode


def summary_of(path: Path) -> Summary:
    """What the rows of a run say together."""
    summary: Summary = json.loads(path.read_text(encoding="utf-8"))["sigil"]
    return summary
