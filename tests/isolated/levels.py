"""Vectors, parity and the native code's own tests at every level: ``python -m tests.isolated.levels``.

Every level that this machine can be forced to (``SIGIL_NATIVE_LEVEL``) has a process of its own; options
are for pytest. Prints a table, which is also put into ``reports/levels.md``; fails where a test failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from sigil_native._levels import LEVELS, VARIABLE, usable_levels

_ROOT: Final = Path(__file__).resolve().parents[2]
_REPORT: Final = _ROOT / "reports" / "levels.md"
_NATIVE: Final = (
    *("audit_chain", "audit_properties", "audit_verifier", "canonicalize_*", "codec*", "event_signatures"),
    *("hmac_key", "kernel_selection", "keyring", "known_sigils", "levels", "seal_requests", "sigil_format"),
    "verify_requests",
)


def suites() -> list[str]:
    """What is run at each level."""
    unit = _ROOT / "tests" / "unit"
    chosen = sorted({str(path) for name in _NATIVE for path in unit.glob(f"test_{name}.py")})
    return ["tests/conformance", "tests/parity", *chosen]


def run(level: str, options: list[str]) -> tuple[int, dict[str, int]]:
    """Run the suites at a level: pytest's exit status, and how many tests came out how."""
    # Plain Python is the same at each; where it is compared with the compiled modules, it is run.
    command = [sys.executable, "-m", "pytest", "--quiet", "-k", "not pure", *options, *suites()]
    environment = os.environ | {VARIABLE: level}
    with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        last = ""
        for line in ran.stdout:
            print(line, end="", flush=True)
            last = line if re.search(r"\d+ (passed|failed|error)", line) else last
    return ran.returncode, {word: int(count) for count, word in re.findall(r"(\d+) ([a-z]+)", last)}


def main(options: list[str]) -> int:
    """Run every level, and print the table."""
    rows = [
        "| level | SHA-256 kernel | transcoder | passed | failed | skipped |",
        "|---|---|---|---|---|---|",
    ]
    failed = False
    for level in usable_levels():
        print(f"\n-- {level}", flush=True)
        status, counts = run(level, options)
        wrong = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
        failed |= status != 0
        figures = (counts.get("passed", 0), wrong, counts.get("skipped", 0))
        rows.append(f"| {level} | {' | '.join(LEVELS[level])} | {' | '.join(map(str, figures))} |")
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print("", *rows, sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
