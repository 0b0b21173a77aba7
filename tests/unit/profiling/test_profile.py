"""``make profile``: the committed baseline, what is wrong usage, and an operation that is really counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.page import PAGE
from benchmarks.profiling.__main__ import main
from benchmarks.profiling.counts import BASELINE, Count, Counts, CountsError, Level, read, write
from benchmarks.profiling.measuring import Counted, Forced
from benchmarks.profiling.operations import all_operations, is_dispatched
from benchmarks.profiling.page import BEGIN, END, draw, renewed

_ROOT = Path(__file__).resolve().parents[3]
_COUNTS = Counts({"valgrind": "3"}, {"avx2": Level("portable", {"encode": Count(10.5, 4.25)})})


def test_baseline_has_every_operation() -> None:
    """The baseline has each operation at the best level, the dispatched ones at all, and the toolchain."""
    baseline = read(BASELINE)
    assert set(baseline.toolchain) == {"compiler", "python", "libc", "valgrind", "machine"}
    best, *lower = baseline.levels.values()
    names = list(all_operations())
    assert list(best.operations) == names
    assert lower
    for level in lower:
        assert list(level.operations) == [name for name in names if is_dispatched(name)]
    for level in (best, *lower):
        assert all(0 <= count.hashing < count.instructions for count in level.operations.values())


def test_page_shows_the_baseline() -> None:
    """The documentation has the baseline's counts: make profile-baseline writes both."""
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page, read(BASELINE)) == page
    with pytest.raises(ValueError, match="lacks"):
        renewed(page.replace(END, ""), read(BASELINE))
    assert BEGIN in page


def test_picture_names_every_operation(tmp_path: Path) -> None:
    """The picture has each operation of the baseline."""
    draw(read(BASELINE), tmp_path / "profile.svg")
    drawn = (tmp_path / "profile.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in drawn for name in all_operations())


def test_counts_come_back(tmp_path: Path) -> None:
    """What is written is read again, to a tenth of an instruction."""
    write(_COUNTS, tmp_path / "counts.json")
    assert read(tmp_path / "counts.json").levels["avx2"].operations == {"encode": Count(10.5, 4.2)}


@pytest.mark.parametrize("text", ["", "[]", '{"toolchain": {}}', '{"toolchain": {}, "levels": {"a": {}}}'])
def test_files_that_are_no_counts(text: str, tmp_path: Path) -> None:
    """A file that is none is told by its name."""
    path = tmp_path / "counts.json"
    path.write_text(text)
    with pytest.raises(CountsError, match=r"counts\.json"):
        read(path)


@pytest.mark.parametrize(
    "options",
    [
        ["--only", "zzzz"],
        ["--only", "a", "--functions", "b"],
        ["--tolerance", "-1"],
        ["--tolerance", "nan"],
        ["--processes", "0"],
        ["--folder", "/proc/x"],
        ["--write-baseline", "--only", "encode"],
        ["--write-baseline", "--level", "avx2"],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in the options ends with 2 and a line that says so, before anything is counted."""
    monkeypatch.setattr(sys, "argv", ["profiling", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_baseline_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a baseline to read, nothing is counted, and the answer is 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["profiling", "--baseline", "none.json"])
    assert main() == 2
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("valgrind", "instructions", "code", "said"),
    [
        ("3", 10.6, 0, "All within 3 %."),
        ("3", 12.0, 1, "More, beyond 3 %: encode (avx2)."),
        ("3", 9.0, 1, "Less, beyond 3 %: encode (avx2)."),
        ("4", 12.0, 0, "valgrind: 4, in the baseline 3"),
    ],
)
def test_answers(
    valgrind: str,
    instructions: float,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beyond the tolerance the answer is 1; counts of another toolchain are shown without a verdict."""
    write(_COUNTS, tmp_path / "baseline.json")
    counted = Counted("avx2", "portable", "encode", 1, Count(instructions, 4.2), tmp_path)
    monkeypatch.setattr("benchmarks.profiling.__main__.toolchain", lambda: {"valgrind": valgrind})
    monkeypatch.setattr("benchmarks.profiling.__main__.levels", lambda: [Forced("avx2", {})])
    monkeypatch.setattr("benchmarks.profiling.__main__._measure", lambda *_: [counted])
    monkeypatch.setattr("benchmarks.profiling.__main__.load_operations", lambda _: {"encode": None})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["profiling", "--baseline", "baseline.json"])
    assert main() == code
    shown = capsys.readouterr().out
    assert said in shown
    assert ("not compared" in shown) is ("Not comparable" in shown) is (valgrind != "3")


def _profile(folder: Path, operations: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.profiling", "--folder", str(folder / "profiles"), *options]
    command += [
        "--baseline",
        str(folder / "baseline.json"),
        "--operations",
        f"tests.unit.profiling.planted:{operations}",
    ]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.unsanitized
@pytest.mark.untraced
def test_what_is_planted_is_caught(tmp_path: Path) -> None:
    """The same code is well within the tolerance; a call more is beyond it, much as SHA-256 hides it."""
    written = _profile(tmp_path, "operations", "--write-baseline")
    assert written.returncode == 0, written.stderr
    (counts,) = [level.operations for level in read(tmp_path / "baseline.json").levels.values()]
    assert 0 < counts["digest"].besides < 0.2 * counts["digest"].hashing

    same = _profile(tmp_path, "operations", "--tolerance", "0.5", "--functions", "digest")
    assert same.returncode == 0, same.stdout + same.stderr
    assert "sigil::compress  [_hashing]" in same.stdout
    assert list((tmp_path / "profiles").glob("*/callgrind.out.digest"))

    slower = _profile(tmp_path, "slower")
    assert slower.returncode == 1, slower.stdout + slower.stderr
    assert "More, beyond 3 %: digest" in slower.stdout


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.unsanitized
@pytest.mark.untraced
def test_operation_that_fails(tmp_path: Path) -> None:
    """An operation that cannot be counted is named, and ends it with 2."""
    write(_COUNTS, tmp_path / "baseline.json")
    failed = _profile(tmp_path, "refusing")
    assert failed.returncode == 2
    assert "digest" in failed.stderr
    assert "TypeError" in failed.stderr
