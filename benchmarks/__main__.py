"""Time every row beside its peer, and print one table; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.picture import draw
from benchmarks.rows import all_rows
from benchmarks.summary import Summary
from benchmarks.table import terminal_table

_SUITES: Final = Path(__file__).parent
_QUICK: Final = 8


def main() -> int:
    """Run the rows that match and show them; 0 whatever the verdicts are, unless a row could not be timed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of 10 ms for each side of a row")
    parser.add_argument("--quick", action="store_true", help=f"--rounds {_QUICK}: whether it works, no more")
    parser.add_argument("--json", type=Path, default=Path("reports/bench.json"), metavar="FILE")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if not any(options.only in row.name for row in all_rows()):
        parser.error(f"--only: no row has {options.only!r} in its name")
    try:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(b"")
        options.json.unlink()  # a run that fails must not show the one before
    except OSError as error:
        parser.error(f"--json: {options.json}: {error.strerror}")
    command = [sys.executable, "-m", "pytest", str(_SUITES), "-c", str(_SUITES / "pytest.ini")]
    command += [f"--rows={options.only}", f"--rounds={_QUICK if options.quick else options.rounds}"]
    command += [f"--benchmark-json={options.json.absolute()}", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(command, env=environment, check=False).returncode
    if not options.json.exists():
        return ran or 1
    summary: Summary = json.loads(options.json.read_text(encoding="utf-8"))["sigil"]
    Console(width=None if sys.stdout.isatty() else 150).print(terminal_table(summary))
    pictures = [options.json.with_suffix(suffix) for suffix in (".svg", ".png")]
    draw(summary, pictures)
    print(*(path for path in (options.json, *pictures)))
    return ran


if __name__ == "__main__":
    sys.exit(main())
