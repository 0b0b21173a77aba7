"""Tests in several processes are all run, once each, and reported as by one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Shares

REPOSITORY = Path(__file__).resolve().parents[2]
_MODULE = """
import os, signal, sys
import pytest

@pytest.fixture(scope="session", autouse=True)
def begun():
    open(f"begun-{os.getpid()}", "x").close()
    yield
    open(f"ended-{os.getpid()}", "x").close()

@pytest.mark.parametrize("number", range(20))
def test_good(number, tmp_path):
    (tmp_path / "mine").touch(exist_ok=False)
    open(f"ran-{number}", "x").close()
    print("said by", number)

def test_wrong():
    print("said before")
    assert 1 + 1 == 3

@pytest.mark.skip(reason="not today")
def test_skipped():
    pass

def test_broken(missing):
    pass
"""
_DEADLY = """
def test_deadly():
    os._exit({code})
"""


def run(folder: Path, module: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a module in two processes, in a folder of their own."""
    (folder / "test_them.py").write_text(module)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.processes", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(folder), "--processes", "2", *options, "test_them.py"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_test_is_taken_once() -> None:
    """Whoever takes tests however quickly, each is taken once, and nobody waits while another has any."""
    for turns in ([0], [0, 1], [2, 2, 2, 0, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0, 2]):
        shares = Shares(23, 3)
        taken = [shares.take(turns[turn % len(turns)]) for turn in range(23)]
        assert sorted(number for number in taken if number is not None) == list(range(23))
        assert [shares.take(process) for process in range(3)] == [None] * 3


def test_reports_are_those_of_one_process(tmp_path: Path) -> None:
    """Results, output, counts and status are told together; each process has its fixtures and folders."""
    done = run(tmp_path, _MODULE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"1 failed, 20 passed, 1 skipped, 1 error in", done.stdout), done.stdout
    assert "assert (1 + 1) == 3" in done.stdout
    assert "said before" in done.stdout
    assert "said by" not in done.stdout
    assert len(list(tmp_path.glob("ran-*"))) == 20
    # A process that is slow to start may find nothing left.
    assert len(list(tmp_path.glob("begun-*"))) == len(list(tmp_path.glob("ended-*"))) in {1, 2}


@pytest.mark.parametrize("code", [0, pytest.param(3, marks=pytest.mark.heavy("another number"))])
def test_a_process_that_ends_is_a_failure(tmp_path: Path, code: int) -> None:
    """The test that took its process along is named, as is what that had taken; the other runs the rest."""
    done = run(tmp_path, _MODULE.partition("def test_wrong")[0] + _DEADLY.format(code=code))
    assert done.returncode == 1, done.stdout + done.stderr
    found = re.search(r"(\d+) failed, (\d+) passed in", done.stdout)
    assert found, done.stdout
    assert int(found[1]) in {1, 2}
    assert int(found[1]) + int(found[2]) == 21
    assert f"test_deadly ended with {code}" in done.stdout


def test_the_first_failure_can_be_the_last(tmp_path: Path) -> None:
    """--exitfirst lets no process take another test."""
    module = "import time\ndef test_wrong():\n    raise ValueError\n"
    module += "".join(f"def test_{number}():\n    time.sleep(0.05)\n" for number in range(100))
    done = run(tmp_path, module, "--exitfirst")
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "100 passed" not in done.stdout
    assert done.stderr == ""
