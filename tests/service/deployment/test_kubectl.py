"""What docs/deploy.md does with kubectl, as far as no cluster is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.first_try import make

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
_REPOSITORY: Final = Path(__file__).resolve().parents[3]
_DOCUMENT: Final = (_REPOSITORY / "docs" / "deploy.md").read_text()


def _rendered(folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def test_an_overlay_changes_the_base(tmp_path: Path) -> None:
    """The overlay of the document changes image and settings, and leaves the rest as it is."""
    (overlay,) = re.findall(r"```yaml\n# kustomization\.yaml\n(.*?)```", _DOCUMENT, re.DOTALL)
    (tmp_path / "sigil").symlink_to(_REPOSITORY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kustomization.yaml").write_text(overlay)
    base = _rendered(_REPOSITORY / "deploy" / "kubernetes")
    changed = _rendered(tmp_path / "mine")
    assert [one["kind"] for one in base] == [one["kind"] for one in changed]
    (settings,) = (one["data"] for one in changed if one["metadata"]["name"].startswith("sigil-settings-"))
    assert settings["JWT_ISSUER"] == "https://login.your.domain"
    assert settings["DNASTORE_SPOOL"] == "on"
    images = re.findall(r"'image': '([^']*)'", str(changed))
    assert images == ["registry.your.domain/sigil:0.1.0"] * 2


def test_secrets_have_the_keys_that_pods_read(tmp_path: Path) -> None:
    """The commands of the document make secrets with the files that settings name."""
    make(tmp_path)
    commands = re.findall(r"^kubectl .*? (create secret (?:.*\\\n)*.*)", _DOCUMENT, re.MULTILINE)
    made = {}
    for command in commands:
        words = command.replace("\\\n", " ").split()
        line = ["kubectl", *words, "--dry-run=client", "--output=yaml"]
        done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        secret = yaml.safe_load(done.stdout)
        made[secret["metadata"]["name"]] = set(secret["data"])
    for resource in _rendered(_REPOSITORY / "deploy" / "kubernetes"):
        for value in resource.get("data", {}).values():
            if value.startswith("/run/secrets/"):
                folder, name = value.removeprefix("/run/secrets/").split("/")
                assert name in made["sigil-secrets" if folder == "sigil" else folder], value
