"""Has rows timed in a process of their own, by pytest-benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.summary import Summary

_SUITES: Final = Path(__file__).parent
#: Rounds of a run that only shows whether everything works.
QUICK: Final = 8


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
