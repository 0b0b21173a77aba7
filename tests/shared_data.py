"""Public test data that is kept beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("SIGIL_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared"))


def shared(*parts: str) -> Path:
    """The path of a file or folder of the shared data; the test is skipped where it is absent."""
    path = ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no shared test data at {path}", allow_module_level=True)
    return path


def nist_records(*parts: str) -> list[dict[str, str]]:
    """The records of a NIST ``.rsp`` file: blocks of ``name = value`` lines."""
    records = []
    for block in shared(*parts).read_text().replace("\r", "").split("\n\n"):
        pairs = (line.split("=", 1) for line in block.splitlines() if "=" in line and line[0] not in "#[")
        record = {name.strip(): value.strip() for name, value in pairs}
        if record:
            records.append(record)
    return records
