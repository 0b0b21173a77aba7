"""Texts are read past their end, and never past the end of their page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sigil_native._canonical_text import vector_levels

SOURCES = Path(__file__).resolve().parents[2] / "sigil_native" / "csrc"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


pytestmark = pytest.mark.skipif(
    COMPILER is None or sys.platform == "win32", reason="no C++ compiler, or no mmap"
)


def run_compiled(folder: Path, source: str, *names: str, level: str = "") -> subprocess.CompletedProcess[str]:
    """Compile a program that is beside this file together with some of the library's sources, and run it."""
    assert COMPILER is not None
    program = folder / "program"
    files = [Path(__file__).with_name(source), *(SOURCES / name for name in names)]
    options = ["-std=c++17", "-O0", f"-DLEVEL={level}", f"-I{SOURCES}"]
    command = [COMPILER, *options, "-o", str(program), *map(str, files)]
    subprocess.run(command, check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=False)


def test_strings_at_the_end_of_readable_memory(tmp_path: Path) -> None:
    """A string of any length that ends with its page is copied and judged, and no other page is read."""
    answer = run_compiled(tmp_path, "plain_ascii.cpp")
    assert answer.returncode == 0, answer.stdout


def levels() -> list[Any]:
    """The sets of vector instructions of this machine; to compile one takes seconds."""
    best, *others = vector_levels()
    return [best, *(pytest.param(name, marks=pytest.mark.heavy) for name in others)]


@pytest.mark.parametrize("level", levels())
def test_documents_at_the_end_of_readable_memory(tmp_path: Path, level: str) -> None:
    """JSON text that ends with its page is canonicalised, and what follows a text changes nothing."""
    sources = (f"json_level_{level}.cpp", "json_number.cpp", "number.cpp")
    answer = run_compiled(tmp_path, "texts_at_page_end.cpp", *sources, level=level)
    assert answer.returncode == 0, answer.stdout
