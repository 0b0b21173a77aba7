"""The examples of the DNAStore's document, run as they are printed, against development's files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from app.dnastore.development import DevelopmentFiles
from core.dnastore.server_settings import server_names
from tests.service.dnastore.running import DnaStore
from tests.service.running import REPOSITORY, clean_environment

_DOCUMENT = (REPOSITORY / "docs" / "dnastore.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```sh\n((?:development=|dnastore ).*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples(new_dnastore: Callable[..., DnaStore]) -> None:
    """What is written is listed, and the answers are those that are printed."""
    dnastore = new_dnastore()
    dnastore.variables |= DevelopmentFiles(dnastore.data_dir).variables
    dnastore.start()
    script = "\n".join(_BLOCK.findall(_DOCUMENT)).replace("127.0.0.1:8443", f"127.0.0.1:{dnastore.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("curl -sS", "curl -fsS")],
        cwd=dnastore.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"results":[{"outcome":"done"}]}{"record":{"tenant":"example",')
    assert done.stdout.endswith('}\n{"end":true}\n')


def test_every_setting_is_documented() -> None:
    """Each variable that the server knows stands in its table."""
    for name in server_names():
        assert f"`{name}`" in _DOCUMENT, name
