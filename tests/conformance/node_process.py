"""Runs the scripts beside this file in a real Node.js."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPTS = Path(__file__).parent / "node"


def run_node(script: str, lines: list[str], directory: Path, *arguments: str) -> list[str]:
    """Give a script lines of text in a file; return the lines that it answers."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("Node.js is needed to compare with ECMAScript itself: install node (18 or newer)")
    source, answer = directory / "source", directory / "answer"
    source.write_text("\n".join(lines), encoding="utf-8")
    subprocess.run(
        [node, str(_SCRIPTS / script), str(source), str(answer), *arguments], check=True, timeout=240
    )
    return answer.read_text(encoding="utf-8").split("\n")
