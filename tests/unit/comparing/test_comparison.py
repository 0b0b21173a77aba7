"""Two revisions of a tiny repository, compared through the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.comparing.sides import SidesError, base_side, head_side, resolve

_ROOT = Path(__file__).resolve().parents[3]
_LIBRARY = "def work():\n    return sum(range({}))\n"
_ROWS = """
from benchmarks.sides import Side
import sigil_native

def rows():
    return {"work": lambda: Side(sigil_native.work, 1)}

def newer():
    return {"fresh": lambda: Side(sigil_native.fresh, 1)}
"""


def _git(repository: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit: a library that adds up a thousand numbers."""
    repository = tmp_path / "repository"
    (repository / "sigil_native").mkdir(parents=True)
    (repository / "sigil_native/__init__.py").write_text(_LIBRARY.format(1000))
    (repository / "README.md").write_text("one")
    _git(repository, "init", "--quiet")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "--message", "one")
    (tmp_path / "tiny_rows.py").write_text(_ROWS)
    return repository


def _compare(repository: Path, base: str = "HEAD", rows: str = "rows") -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join([str(_ROOT), str(repository.parent)])
    command = [sys.executable, "-m", "benchmarks.comparing", base, "--tree", str(repository)]
    command += ["--rows", f"tiny_rows:{rows}", "--no-service", "--slices", "3"]
    return subprocess.run(
        command,
        cwd=repository.parent,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.heavy("measures three times; verdicts have tests of their own")
def test_a_slower_tree_fails(repository: Path) -> None:
    """An uncommitted change that doubles the work ends with 1 and names the row."""
    (repository / "sigil_native/__init__.py").write_text(_LIBRARY.format(2000))
    done = _compare(repository)
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((repository.parent / "reports/bench-compare.json").read_text())
    assert [(row["row"], row["verdict"]) for row in report["rows"]] == [("work", "slower")]
    assert (repository.parent / "reports/bench-compare.png").stat().st_size


def test_rows_that_the_base_lacks_are_new(repository: Path) -> None:
    """A row that only the working tree can run is told, and fails nothing."""
    with (repository / "sigil_native/__init__.py").open("a") as library:
        library.write("fresh = work\n")
    done = _compare(repository, rows="newer")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fresh: new" in done.stdout


def test_unknown_revisions_are_refused(repository: Path) -> None:
    """A revision that is not there ends with 2 and a line that says so."""
    done = _compare(repository, base="--no-such")
    assert done.returncode == 2
    done = _compare(repository, base="nowhere")
    assert done.returncode == 2
    assert "'nowhere' is no revision" in done.stderr.replace("\n", " ")


def test_bases_are_kept_and_share_modules(repository: Path) -> None:
    """A base with the native sources of the working tree takes its modules, and is checked out once."""
    (repository / "sigil_native/_a.so").write_bytes(b"compiled")
    head = head_side(repository)
    revision = resolve(repository, "HEAD")
    base = base_side(repository, revision, head)
    assert (base.folder / "sigil_native/_a.so").read_bytes() == b"compiled"
    assert len(str(base.folder)) == len(str(head.folder))
    (base.folder / "kept").touch()
    assert (base_side(repository, revision, head).folder / "kept").exists()


def test_bases_that_do_not_compile_leave_nothing(repository: Path) -> None:
    """A failing build is told with its last lines, and is tried anew the next time."""
    (repository / "setup.py").write_text("raise SystemExit('no compiler')")
    _git(repository, "add", "setup.py")
    _git(repository, "commit", "--quiet", "--message", "two")
    (repository / "setup.py").write_text("")
    with pytest.raises(SidesError, match="no compiler"):
        base_side(repository, resolve(repository, "HEAD"), head_side(repository))
    assert not list((repository / "build/base").iterdir())
