"""Real soaks of real services, each with a defect that was built in on purpose. Minutes each: heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from soak.results import SUMMARY, Summary
from tests.service.running import REPOSITORY

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(600),
]


#: More of those calls that are rare, so that a minute has enough of each to be judged by.
_SCENARIOS = "encode=3,verify=3,mixed=8,batch=2,errors=2,greedy=2"


def _soak(folder: Path, *more: str) -> Summary:
    line = [sys.executable, "-m", "soak", "run", "--duration", "90s", "--users", "30", "--rate", "30"]
    # Batches are large enough for the records that the database is judged by.
    line += ["--scenarios", _SCENARIOS, "--faults", "none", "--workers", "1", "--batch", "15"]
    line += ["--results", str(folder), "--no-report", *more]
    # No webhook is to hear of these.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOAK_")}
    done = subprocess.run(
        line, cwd=REPOSITORY, env=kept, capture_output=True, text=True, timeout=500, check=False
    )
    assert (folder / SUMMARY).exists(), done.stdout + done.stderr
    return msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)


@pytest.mark.parametrize(
    ("defect", "check"),
    [
        ("memory_leak", "memory service/"),
        ("descriptor_leak", "descriptors service/"),
        ("slow_degradation", "p50 growth "),
        ("lost_record", "lost"),
        ("cross_tenant_read", "foreign_seen"),
    ],
)
def test_planted(tmp_path: Path, defect: str, check: str) -> None:
    """The verdict on a service with a defect is fail, and a check that is about the defect says so."""
    command = f"{sys.executable} -m tests.soak.planted.service {defect}"
    found = _soak(tmp_path / "run", "--planted", defect, "--service-command", command)
    failed = [one.name for one in found.checks if one.outcome == "fail"]
    assert found.verdict == "fail"
    assert any(name.startswith(check) for name in failed), failed


def test_nothing_planted(tmp_path: Path) -> None:
    """The service as it is passes: nothing fails, and nothing is left unjudged."""
    found = _soak(tmp_path / "run")
    assert [one for one in found.checks if one.outcome != "pass"] == []
    assert found.verdict == "pass"
