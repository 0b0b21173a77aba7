"""Texts are read past their end, and never past the end of their page."""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigil_native import _canonical_text
from sigil_native.errors import CanonicalizationError

SOURCES = Path(__file__).resolve().parents[2] / "sigil_native" / "csrc"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))


pytestmark = pytest.mark.skipif(
    COMPILER is None or sys.platform == "win32", reason="no C++ compiler, or no mmap"
)


def run_compiled(folder: Path, source: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Compile a program that is beside this file together with some of the library's sources, and run it."""
    assert COMPILER is not None
    program = folder / "program"
    files = [Path(__file__).with_name(source), *(SOURCES / name for name in names)]
    command = [COMPILER, "-std=c++17", "-O1", f"-I{SOURCES}", "-o", str(program), *map(str, files)]
    subprocess.run(command, check=True)
    return subprocess.run([str(program)], capture_output=True, text=True, check=False)


def test_strings_at_the_end_of_readable_memory(tmp_path: Path) -> None:
    """A string of any length that ends with its page is copied and judged, and no other page is read."""
    answer = run_compiled(tmp_path, "plain_ascii.cpp")
    assert answer.returncode == 0, answer.stdout


@pytest.fixture
def page() -> Iterator[ctypes.Array[ctypes.c_char]]:
    """A page of memory before one that cannot be read."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    both = (ctypes.c_char * (2 * mmap.PAGESIZE)).from_buffer(mmap.mmap(-1, 2 * mmap.PAGESIZE))
    behind = ctypes.addressof(both) + mmap.PAGESIZE
    assert library.mprotect(behind, mmap.PAGESIZE, 0) == 0
    yield (ctypes.c_char * mmap.PAGESIZE).from_buffer(both)
    assert library.mprotect(behind, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) == 0


@pytest.mark.parametrize("level", _canonical_text.vector_levels())
def test_documents_at_the_end_of_readable_memory(level: str, page: ctypes.Array[ctypes.c_char]) -> None:
    """JSON text that ends with its page is canonicalised, and what follows a text changes nothing."""
    # On the page that a text begins on lies more than it needs, which is read, and looks like more of it.
    elsewhere = memoryview(bytearray(b'"' * mmap.PAGESIZE))
    end = memoryview(page).cast("B")
    for length in range(6, 201):
        text = b'["' + b"a" * (length - 6) + b'",1]'
        for place in (end[mmap.PAGESIZE - length :], elsewhere[1 : 1 + length]):
            place[:] = text
            assert _canonical_text.canonicalize_json_at(level, place) == text
            place[length - 1] = 0x80
            with pytest.raises(CanonicalizationError):
                _canonical_text.canonicalize_json_at(level, place)


@pytest.mark.heavy("compiles for seconds what the test above asks the library")
def test_documents_at_the_end_of_readable_memory_compiled(tmp_path: Path) -> None:
    """The same of the transcoder alone, with nothing of Python around it."""
    levels = [f"json_level_{name}.cpp" for name in ("portable", "sse2", "avx2")]
    answer = run_compiled(tmp_path, "texts_at_page_end.cpp", *levels, "json_number.cpp", "number.cpp")
    assert answer.returncode == 0, answer.stdout
