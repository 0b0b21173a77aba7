"""The benchmarks: which rows there are, what a run says of them, and the page that shows one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import levels
from benchmarks.__main__ import main
from benchmarks.page import BEGIN, END, LEVELS_BEGIN, LEVELS_END, PAGE, renewed, renewed_levels
from benchmarks.picture import draw
from benchmarks.rows import Row, all_rows
from benchmarks.sides import over
from benchmarks.slices import slices_of
from benchmarks.summary import Summary, figures_of, summarise
from benchmarks.table import terminal_table

_SUITES = Path(__file__).parents[2] / "benchmarks"


def _row(**changed: Any) -> Row:
    terms: dict[str, Any] = {"suite": "hashing", "name": "a", "against": "b", "goal": 2.0}
    return Row(**terms, open=lambda: over(len, len, ["text"]), **changed)


def _run() -> Summary:
    """Every row, the first of which misses its goal."""
    first = all_rows()[0]
    benchmarks = [
        {
            "extra_info": {"row": row.name, "against": row.against, "side": side, "items": 10},
            "stats": {"min": 2e-6 if row is first and side == "ours" else 1e-6},
        }
        for row in all_rows()
        for side in row.sides
    ]
    return summarise(benchmarks)


def test_rows_are_told_apart() -> None:
    """No two rows have the same name and peer, and each has a suite that times it."""
    rows = all_rows()
    assert max(Counter((row.name, row.against) for row in rows).values()) == 1
    assert {f"test_{row.suite}.py" for row in rows} == {path.name for path in _SUITES.glob("test_*.py")}


def test_sides_take_turns() -> None:
    """The sides of a row alternate, slice by slice."""
    assert [part.side for part in slices_of(_row(), 6)] == ["ours", "peer"] * 3
    assert [part.side for part in slices_of(_row(unit="s", slices="few"), 6)] == ["ours"] * 2


@pytest.mark.parametrize(
    ("row", "ours", "peer", "measured", "fraction"),
    [
        (_row(), 1.0, 3.0, 3.0, 1.5),
        (_row(), 1.0, 1.0, 1.0, 0.5),
        (_row(at_most=True), 1.0, 1.0, 1.0, 2.0),
        (_row(at_most=True), 4.0, 1.0, 4.0, 0.5),
        (_row(at_most=True, unit="ms"), 1.0, None, 1.0, 2.0),
        (_row(at_most=True, unit="ms"), 2.5, None, 2.5, 0.8),
    ],
)
def test_verdicts(row: Row, ours: float, peer: float | None, measured: float, fraction: float) -> None:
    """A goal is reached from its own side: ratios from below, times and sizes from above."""
    figures = figures_of(row, ours, peer)
    assert (figures["measured"], figures["fraction"]) == (measured, fraction)
    assert figures["reached"] is (fraction >= 1)


def test_best_of_all_slices_counts() -> None:
    """The least of a side's slices is divided by its items; a figure that a call returned is kept."""
    noted = {"row": all_rows()[0].name, "against": all_rows()[0].against}
    summary = summarise(
        [
            {"extra_info": {**noted, "side": "ours", "items": 10}, "stats": {"min": 30.0}},
            {"extra_info": {**noted, "side": "ours", "items": 10}, "stats": {"min": 20.0}},
            {"extra_info": {**noted, "side": "peer", "items": 10, "figure": 9.0}, "stats": {"min": 1.0}},
        ]
    )
    assert [(row["ours"], row["peer"], row["measured"]) for row in summary["rows"]] == [(2.0, 9.0, 4.5)]


def test_page_of_a_run() -> None:
    """A run's rows and processor stand between the markers, and nothing else of the page changes."""
    run = _run()
    page = renewed(f"before\n{BEGIN}\nold\n{END}\nafter\n", run)
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page
    assert run["processor"] in page
    assert page.count("| **missed** |") == sum(not row["reached"] for row in run["rows"]) > 0
    assert renewed(page, run) == page


def test_page_of_all_levels() -> None:
    """Each row stands once, with a figure for each level, and those that miss their goal stand out."""
    slow, quick = _run(), _run()
    slow["rows"] = [row for row in slow["rows"] if row["suite"] == "hashing"]
    quick["rows"] = [{**row, "reached": False} for row in slow["rows"][1:]]
    page = renewed_levels(f"a\n{LEVELS_BEGIN}\nold\n{LEVELS_END}\nz\n", {"avx2": slow, "portable": quick})
    assert page.startswith(f"a\n{LEVELS_BEGIN}\n")
    assert page.endswith(f"{LEVELS_END}\nz\n")
    assert "old" not in page
    assert "| what | against | goal | `avx2` | `portable` |" in page
    (first, *others) = [line for line in page.splitlines() if line.startswith(("| HmacKey", "| digest_many"))]
    assert first.endswith(" |  |")
    assert len(others) == len(quick["rows"])
    assert all(re.search(r" \*\*\d\.\d\dx\*\* \|$", line) for line in others)
    assert f"`portable` 0 of {len(others)}" in page


def test_page_shows_every_row() -> None:
    """The documentation has each row of the table, its peer, a verdict, and the processor's name."""
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in shown.splitlines() if line.startswith("| ")]
    for row in all_rows():
        found = [line for line in lines if line.startswith(f"| {row.name} | {row.against} |")]
        assert len(found) == 1, row.name
        assert "reached" in found[0] or "missed" in found[0]
    assert " processors (" in shown.strip().splitlines()[0]


def test_table_and_picture(tmp_path: Path) -> None:
    """Every row of a run is in the table and in the picture."""
    run = _run()
    assert terminal_table(run).row_count == len(all_rows())
    draw(run, [tmp_path / "bench.svg"])
    assert all(row.name in (tmp_path / "bench.svg").read_text() for row in all_rows())


@pytest.mark.heavy("starts pytest once more, and times")
def test_run_of_one_row(tmp_path: Path) -> None:
    """A row is timed by pytest-benchmark, named in any case, and the run's file says what came out."""
    path = tmp_path / "bench.json"
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(_SUITES / "test_hashing.py"),
        "-c",
        str(_SUITES / "pytest.ini"),
    ]
    command += ["--rows=hmackey", "--rounds=2", f"--benchmark-json={path}", "-p", "no:cacheprovider"]
    # Nothing of the run that this test belongs to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    run = json.loads(path.read_text())
    assert [one["extra_info"]["side"] for one in run["benchmarks"]] == ["ours", "peer"]
    (row,) = run["sigil"]["rows"]
    assert row["measured"] == row["peer"] / row["ours"] > 0


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (main, ["--only", "zzzz"]),
        (levels.main, ["--only", "zzzz"]),
        (levels.main, ["--rounds", "0"]),
        (main, ["--json", "/proc/x/bench.json"]),
    ],
)
def test_options_that_cannot_be(
    command: Callable[[], int],
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A mistake in the options ends with 2 and a line that names it, before anything is timed."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *options])
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err.splitlines()[-1]
