"""A tenth planted in the way of an encode, in a clone with modules of its own, and a change of words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1200)]

_ROOT = Path(__file__).resolve().parents[3]
_IDLE = '''
cdef extern from *:
    """
    static inline void idle(int turns) { for (volatile int turn = 0; turn < turns; turn = turn + 1) {} }
    """
    void idle(int turns) noexcept nogil


@cython.final'''
_ENCODE = "        return self._encode(payload, False, tenant"
_MANY_TURNS = 2000
_TIMED = """
import json, time
from benchmarks.comparing.rows import library_rows
side = library_rows()["encode"]()
best = float("inf")
for _ in range(60):
    start = time.process_time_ns()
    side.call()
    best = min(best, (time.process_time_ns() - start) / side.items)
print(best)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last commit, with this tree's compiled modules."""
    folder = tmp_path_factory.mktemp("planted") / "clone"
    subprocess.run(["git", "clone", "--quiet", _ROOT, folder], check=True)
    for module in (_ROOT / "sigil_native").glob("*.so"):
        shutil.copy2(module, folder / "sigil_native")
    return folder


def _run(clone: Path, *arguments: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert not succeeds or done.returncode == 0, done.stdout + done.stderr
    return done


def _plant(clone: Path, turns: int) -> float:
    """Hold every encode up by so many turns of a loop; nanoseconds of one then."""
    source = clone / "sigil_native/_codec.pyx"
    text = subprocess.run(
        ["git", "show", "HEAD:sigil_native/_codec.pyx"], cwd=clone, check=True, capture_output=True, text=True
    ).stdout
    if turns:
        assert _ENCODE in text
        text = text.replace("\n@cython.final", _IDLE, 1).replace(_ENCODE, f"        idle({turns})\n{_ENCODE}")
    source.write_text(text)
    _run(clone, "setup.py", "--quiet", "build_ext", "--inplace")
    return float(_run(clone, "-c", _TIMED).stdout)


def _verdicts(clone: Path) -> dict[str, Any]:
    report = json.loads((clone / "reports/bench-compare.json").read_text())
    return {row["row"]: row["verdict"] for row in report["rows"]}


def test_a_tenth_is_caught(clone: Path) -> None:
    """An encode that takes a tenth more ends with 1 and names the row, and no row that it does not touch."""
    plain = _plant(clone, 0)
    slow = _plant(clone, _MANY_TURNS)
    tenth = round(_MANY_TURNS * 0.1 * plain / (slow - plain))
    _plant(clone, tenth)
    done = _run(
        clone, "-m", "benchmarks.comparing", "HEAD", "--only", "encode", "--no-service", succeeds=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    verdicts = _verdicts(clone)
    assert verdicts["encode"] == "slower"
    assert verdicts["encode_ndjson"] != "slower"


def test_words_change_nothing(clone: Path) -> None:
    """A commit that only documents ends with 0."""
    subprocess.run(["git", "checkout", "--quiet", "--", "."], cwd=clone, check=True)
    _plant(clone, 0)
    with (clone / "docs/formats.md").open("a") as document:
        document.write("One sentence more.\n")
    done = _run(clone, "-m", "benchmarks.comparing", "HEAD", "--no-service")
    assert "slower" not in _verdicts(clone).values(), done.stdout
