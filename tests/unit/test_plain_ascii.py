"""Short strings are read past their end, and never past the end of their page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "sigil_native" / "csrc"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


@pytest.mark.skipif(COMPILER is None or sys.platform == "win32", reason="no C++ compiler, or no mmap")
def test_texts_at_the_end_of_readable_memory(tmp_path: Path) -> None:
    """A text of any length that ends with its page is copied and judged, and no other page is read."""
    assert COMPILER is not None
    program = tmp_path / "plain_ascii"
    source = Path(__file__).with_name("plain_ascii.cpp")
    command = [COMPILER, "-std=c++17", "-O1", f"-I{SOURCES}", "-o", str(program), str(source)]
    subprocess.run(command, check=True)
    answer = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
