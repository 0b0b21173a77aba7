"""Public test corpora that stand beside the repository, not in it."""

from __future__ import annotations

from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(*parts: str) -> Path:
    """Path of a corpus file or folder; the test is skipped, with the reason, where the corpora are absent."""
    path = _ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no public test corpora beside the repository: {path.name}", allow_module_level=True)
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
