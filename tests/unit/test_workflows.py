"""Pipelines stay valid, and in step with the Makefile."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def jobs(path: Path) -> dict[str, Any]:
    """The jobs of a workflow, by name."""
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return loaded


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_steps_call_targets_that_exist(path: Path) -> None:
    """A step runs one Makefile target, or shows a report in the summary; nothing is interpolated into it."""
    for job in jobs(path).values():
        for line in (step["run"] for step in job["steps"] if "run" in step):
            target = re.fullmatch(r"make ([a-z-]+)( [A-Z]+=\S+)*", line)
            shown = re.fullmatch(r'cat( reports/\S+)+ >> "\$GITHUB_STEP_SUMMARY"', line)
            assert shown or (target and target[1] in TARGETS), line
            assert "${{" not in line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_and_times_are_bounded(path: Path) -> None:
    """A workflow may only read, each job ends, and each action is pinned to a commit."""
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    for job in jobs(path).values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 360
        for used in (step["uses"] for step in job["steps"] if "uses" in step):
            assert re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", used), used


def test_workflows_fit_their_schema() -> None:
    """What GitHub takes a workflow to be is what these are."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run([*command, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    "path", [path for path in WORKFLOWS if "nightly" in path.stem], ids=lambda path: path.stem
)
def test_nights_leave_something_behind(path: Path) -> None:
    """A nightly workflow starts at a time of day, and by hand; what its jobs measure is kept."""
    text = path.read_text()
    (minute, hour), *others = re.findall(r'- cron: "(\d+) (\d+) \* \* \*"', text)
    assert not others
    assert int(minute) < 60
    assert int(hour) < 24
    # YAML 1.1 takes the key "on" for a truth value.
    assert "workflow_dispatch" in yaml.safe_load(text)[True]
    for name, job in jobs(path).items():
        kept = [step["with"]["path"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
        assert kept or name == "sanitize", name


@pytest.mark.parametrize("document", ["README.md", "docs/contributing.md", ".ci/run"])
def test_documents_name_targets_that_exist(document: str) -> None:
    """What the documents tell to run is in the Makefile."""
    text = (ROOT / document).read_text()
    named = set(
        re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^step make ([a-z-]+)", text, re.MULTILINE)
    )
    assert named
    assert named <= TARGETS
