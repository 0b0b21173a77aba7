"""The documents' own examples, run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", "docs/library.md"])
def test_examples_run(name: str) -> None:
    """Every Python example of a document works when the document is read from top to bottom."""
    examples = _BLOCK.findall((_ROOT / name).read_text(encoding="utf-8"))
    assert examples
    scope: dict[str, object] = {}
    for example in examples:
        exec(compile(example, name, "exec"), scope)  # noqa: S102 (the project's own documents)


def test_links_lead_somewhere() -> None:
    """Every relative link of a document names a file that exists."""
    for document in [_ROOT / "README.md", *(_ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_threats_name_tests_that_exist() -> None:
    """Every row of the threat model that claims a defence names tests, and each of them is there."""
    text = (_ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    cells = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", text, re.MULTILINE)]
    threats = [row for row in cells if len(row) == 3 and row[0] != "threat"]
    assert len(threats) > 40
    for threat, defence, tests in threats:
        names = re.findall(r"`([^`]+)`", tests)
        assert names or "not covered" in defence, threat
        for name in names:
            file, _, function = name.partition("::")
            (path,) = [_ROOT / file] if "/" in file else (_ROOT / "tests").glob(f"**/{file}")
            assert f"def {function}" in path.read_text(encoding="utf-8") if function else path.exists(), name
