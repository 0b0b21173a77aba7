"""What the documentation's site is made from."""

from __future__ import annotations

import re

from app.api.openapi import document
from app.documentation.site import operations, problem_list, problem_markdown
from app.http.problem_catalogue import KINDS


def test_every_problem_has_a_page() -> None:
    """The list leads to a page for each problem, which says what the catalogue says."""
    listed = problem_list()
    for code, kind in KINDS.items():
        assert f"| {kind.status} | [`{code}`](problems/{code}.md) | {kind.title} |" in listed
        page = problem_markdown(code, kind)
        assert all(text in page for text in (f"# {kind.title}\n", kind.cause, kind.remedy))


def test_every_call_is_shown() -> None:
    """Each operation is there with its parameters, answers and problems, and no link leads nowhere."""
    described = document()
    shown = operations(described)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            (section,) = [part for part in shown.split("\n## ") if f"\n`{method.upper()} {path}`\n" in part]
            assert operation["description"] in section
            for parameter in operation.get("parameters", ()):
                assert f"| `{parameter['name']}` | {parameter['in']} |" in section
            for status in operation["responses"]:
                assert f"**{status}**" in section or f"| {status} |" in section
    headings = {name.lower() for name in re.findall(r"^### (\w+)$", shown, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", shown)) <= headings
    assert set(re.findall(r"\]\(problems/(\w+)\.md\)", shown)) <= KINDS.keys()
