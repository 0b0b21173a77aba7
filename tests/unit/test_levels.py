"""SIGIL_NATIVE_LEVEL: one name for the instructions of hashing and transcoding."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import sigil_native
from sigil_native._canonical_text import vector_level, vector_levels
from sigil_native._hashing import kernel, kernels
from sigil_native._levels import LEVELS, usable_levels

CODE = """
import sigil_native
from sigil_native._canonical_text import vector_level
from sigil_native._hashing import kernel
print(sigil_native.level, kernel(), vector_level())
"""


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a fresh process with these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGIL_NATIVE_")}
    return subprocess.run(
        [sys.executable, *arguments],
        env=kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def import_at(level: str, **others: str) -> subprocess.CompletedProcess[str]:
    """Import the package in a fresh process that asks for a level."""
    return run("-c", CODE, SIGIL_NATIVE_LEVEL=level, **others)


def test_level_tells_both_parts() -> None:
    """The level in use is the one of the kernel and the vectors in use."""
    assert LEVELS.get(sigil_native.level, tuple(sigil_native.level.split("/"))) == (kernel(), vector_level())


def test_every_part_has_a_level() -> None:
    """Every kernel and vector level of this machine is part of some level, the portable ones of the last."""
    reached = [LEVELS[name] for name in usable_levels()]
    assert {kernel for kernel, _ in reached} == set(kernels())
    assert {vectors for _, vectors in reached} >= set(vector_levels()) - {"sse2"}
    assert reached[-1] == ("portable", "portable")


@pytest.mark.parametrize("level", usable_levels())
def test_asking_for_a_level(level: str) -> None:
    """A level that this machine can run decides on both parts."""
    ended = import_at(level)
    assert ended.stdout.split() == [level, *LEVELS[level]], ended.stderr


def test_best_level_without_asking() -> None:
    """An empty variable asks for nothing: the best kernel and the best vectors are used."""
    assert import_at("").stdout.split()[1:] == [kernels()[0], vector_levels()[0]]


def test_parts_go_before_the_level() -> None:
    """A variable for one part leaves the other to the level; two that make no level are both named."""
    ended = import_at("portable", SIGIL_NATIVE_VECTOR=vector_levels()[0], SIGIL_NATIVE_KERNEL="portable")
    assert ended.stdout.split()[1:] == ["portable", vector_levels()[0]], ended.stderr


def unusable() -> list[str]:
    """What cannot be asked for here."""
    return ["abacus", *(name for name in LEVELS if name not in usable_levels())]


@pytest.mark.parametrize("level", unusable())
def test_asking_for_a_level_that_cannot_be_used(level: str) -> None:
    """A level that is unknown or unusable here ends the import; the error names it and what there is."""
    ended = import_at(level)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"sigil_native.errors.UnusableLevelError: SIGIL_NATIVE_LEVEL asks for {level!r}: ")
    assert "portable" in last


@pytest.mark.parametrize("variable", ["SIGIL_NATIVE_LEVEL", "SIGIL_NATIVE_KERNEL", "SIGIL_NATIVE_VECTOR"])
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["-m", "app", "serve"], ""),
        (["-c", "import sys, sigil_command; sys.exit(sigil_command.main())", "canon"], "sigil: "),
    ],
)
def test_commands_at_a_level_that_cannot_be_used(variable: str, arguments: list[str], name: str) -> None:
    """The service and the command tell in a line what the environment asks for in vain, and end with 78."""
    ended = run(*arguments, **{variable: "abacus"})
    assert (ended.returncode, ended.stdout) == (78, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{name}{variable}")
    assert "abacus" in line


def test_error_of_a_level() -> None:
    """The error is an ImportError and one of the library's, with the level apart from the words."""
    error = sigil_native.UnusableLevelError("abacus", "no beads")
    assert isinstance(error, ImportError)
    assert isinstance(error, sigil_native.SigilError)
    assert (error.level, error.code) == ("abacus", "unusable_level")
    assert str(error) == "SIGIL_NATIVE_LEVEL asks for 'abacus': no beads"
