"""Public test corpora that stand beside the repository, not in it."""

from __future__ import annotations

from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared(*parts: str) -> Path:
    """Path of a corpus file; the test is skipped, with the reason, where the corpora are absent."""
    path = _ROOT.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no public test corpora beside the repository: {path.name}", allow_module_level=True)
    return path
