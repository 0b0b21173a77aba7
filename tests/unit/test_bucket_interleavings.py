"""The table without locks, one shared access at a time: orders that no machine would show in years."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.heavy import HEAVY

SOURCES = Path(__file__).resolve().parents[2] / "sigil_native" / "csrc"
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
ROUNDS = 3_000_000 if HEAVY else 2_000


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")
@pytest.mark.timeout(900)
def test_every_order_is_right(tmp_path: Path) -> None:
    """Whoever goes on, is held up or dies: one entry a key, no grant too many, no refusal for nothing."""
    assert COMPILER is not None
    program = tmp_path / "bucket_interleavings"
    source = Path(__file__).with_name("bucket_interleavings.cpp")
    subprocess.run([COMPILER, "-std=c++17", "-O1", f"-I{SOURCES}", "-o", program, source], check=True)
    seed = random.randrange(1 << 40)
    answer = subprocess.run(
        [program, str(seed), str(ROUNDS)], capture_output=True, text=True, check=False, timeout=900
    )
    print(f"seed {seed}: {answer.stdout}")
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"{ROUNDS} rounds")
