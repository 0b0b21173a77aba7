"""Which SHA-256 kernels and vector levels are used: those that prove themselves, or the one asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sigil_native._hashing import kernel, kernels
from sigil_native._levels import asked_for_kernel

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "sigil_native" / "csrc"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


def import_with(wanted: str) -> subprocess.CompletedProcess[str]:
    """Import the module in a fresh process that asks for a kernel."""
    return subprocess.run(
        [sys.executable, "-c", "from sigil_native._hashing import kernel; print(kernel())"],
        env={**os.environ, "SIGIL_NATIVE_KERNEL": wanted},
        capture_output=True,
        text=True,
        check=False,
    )


def run_compiled(folder: Path, source: str, sources: list[Path]) -> subprocess.CompletedProcess[str]:
    """Compile a program that is beside this file together with some of the library's sources, and run it."""
    assert COMPILER is not None
    program = folder / "program"
    files = [Path(__file__).with_name(source), *sources]
    command = [COMPILER, "-std=c++17", "-O0", f"-I{SOURCES}", "-o", str(program), *map(str, files)]
    subprocess.run(command, check=True)
    return subprocess.run([program], capture_output=True, text=True, check=False)


def test_portable_is_always_there() -> None:
    """The portable kernel is the last resort, and the best one is in use."""
    assert kernels()[-1] == "portable"
    best = asked_for_kernel(kernels()) or kernels()[0]
    assert kernel() == os.environ.get("SIGIL_NATIVE_KERNEL", best)


@pytest.mark.parametrize("wanted", kernels())
def test_asking_for_a_kernel(wanted: str) -> None:
    """The environment can name any usable kernel."""
    answer = import_with(wanted)
    assert (answer.returncode, answer.stdout.strip()) == (0, wanted), answer.stderr


def test_asking_for_a_kernel_that_cannot_be_used() -> None:
    """A kernel that is unknown or unusable here ends the import, and the error names both sides."""
    answer = import_with("abacus")
    assert answer.returncode == 1
    assert "ImportError: SIGIL_NATIVE_KERNEL asks for 'abacus'" in answer.stderr
    assert f"this machine can use: {', '.join(kernels())}" in answer.stderr


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_kernels_that_lie_are_not_used(tmp_path: Path) -> None:
    """A kernel wrong in one bit, one size or one order of a pair fails its known answers."""
    sources = [*SOURCES.glob("sha256*.cpp"), SOURCES / "hmac.cpp", SOURCES / "secret.cpp"]
    answer = run_compiled(tmp_path, "kernel_selection.cpp", sources)
    assert answer.returncode == 0, answer.stdout
    assert tuple(answer.stdout.split()) == kernels()


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
def test_vector_levels_that_lie_are_not_used(tmp_path: Path) -> None:
    """A level that takes one byte of a block for something else fails its questions, whichever byte it is."""
    names = ("json_proof", "json_level_portable", "json_number", "number")
    answer = run_compiled(tmp_path, "vector_proof.cpp", [SOURCES / f"{name}.cpp" for name in names])
    assert answer.returncode == 0, answer.stdout
