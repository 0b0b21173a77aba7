"""Pipelines stay valid, and in step with the Makefile."""

from __future__ import annotations

import re
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
            shown = re.fullmatch(r'cat reports/\S+ >> "\$GITHUB_STEP_SUMMARY"', line)
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


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nightly_jobs_keep_their_results(path: Path) -> None:
    """What runs on a schedule has a time of five fields, and uploads what it made even where it failed."""
    # YAML 1.1 reads the key "on" as true.
    triggers = yaml.safe_load(path.read_text())[True]
    if "schedule" not in triggers:
        pytest.skip("runs on no schedule")
    for entry in triggers["schedule"]:
        assert re.fullmatch(r"[0-5]?\d (1?\d|2[0-3]) \* \* (\*|[0-6])", entry["cron"])
    for name, job in jobs(path).items():
        uploads = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
        assert uploads, name
        assert all(step["if"] in ("always()", "failure()") for step in uploads)


@pytest.mark.parametrize("document", ["README.md", "docs/contributing.md", ".ci/run"])
def test_documents_name_targets_that_exist(document: str) -> None:
    """What the documents tell to run is in the Makefile."""
    text = (ROOT / document).read_text()
    named = set(
        re.findall(r"`make ([a-z-]+)", text) + re.findall(r"^step make ([a-z-]+)", text, re.MULTILINE)
    )
    assert named
    assert named <= TARGETS
