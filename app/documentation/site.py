"""The same pages as Markdown, for the documentation's site."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from app.http.problem_catalogue import KINDS, Kind, problem_type

_Schema = dict[str, Any]
_PROBLEM = "application/problem+json"


def problem_markdown(code: str, kind: Kind) -> str:
    """The page of one problem."""
    return f"""\
# {kind.title}

{kind.status} {HTTPStatus(kind.status).phrase}, `code` is `{code}`, `type` is `{problem_type(code)}`.

## What happened

{kind.cause}

## What to do

{kind.remedy}

[All problems](../problems.md)
"""


def problem_list() -> str:
    """All problems, each with a link to its page."""
    ordered = sorted(KINDS.items(), key=lambda item: (item[1].status, item[0]))
    rows = ((str(kind.status), _problem_link(code), kind.title) for code, kind in ordered)
    return _table(("status", "code", "title"), rows)


def operations(document: _Schema) -> str:
    """The API's calls and types, from its OpenAPI description."""
    parts = [
        part
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for part in _operation(method.upper(), path, operation)
    ]
    parts.append("## Types")
    for name, schema in sorted(document["components"]["schemas"].items()):
        if name == "ProblemDocument":  # the problems' own page has it
            continue
        parts += [f"### {name}", schema.get("description", ""), _members(schema)]
    return "\n\n".join(part for part in parts if part)


def _operation(method: str, path: str, operation: _Schema) -> Iterator[str]:
    yield f"## {operation['summary'].rstrip('.')}"
    yield f"`{method} {path}`"
    yield operation["description"]
    if "parameters" in operation:
        rows = ((f"`{one['name']}`", one["in"], one["description"]) for one in operation["parameters"])
        yield _table(("parameter", "in", ""), rows)
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        yield f"The body is {_type(content['schema'])}."
        yield _first_example(content)
    for status, answer in operation["responses"].items():
        content = next((one for name, one in answer["content"].items() if name != _PROBLEM), None)
        if content is not None:
            yield f"**{status}** {answer['description']} The body is {_type(content['schema'])}."
            yield _first_example(content)
    yield _table(("status", "code"), _refusals(operation["responses"]))


def _refusals(responses: _Schema) -> Iterator[tuple[str, str]]:
    for status, answer in responses.items():
        content = answer["content"].get(_PROBLEM)
        if content is not None:
            yield status, " ".join(map(_problem_link, content["examples"]))


def _first_example(content: _Schema) -> str:
    """The first example, or nothing: the description shows none of itself."""
    for example in content.get("examples", {}).values():
        value = example["value"]
        # Several JSON texts, a line each, are shown as they are.
        text = value.rstrip() if type(value) is str else json.dumps(value, indent=2, ensure_ascii=False)
        return f"```json\n{text}\n```"
    return ""


def _members(schema: _Schema) -> str:
    required = schema.get("required", ())
    rows = (
        (f"`{name}`", _type(member), ("" if name in required else "Optional. ") + _description(member))
        for name, member in schema["properties"].items()
    )
    return _table(("member", "type", ""), rows)


def _type(schema: _Schema) -> str:
    """A type in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    if "contentSchema" in schema:
        return f"in each line {_type(schema['contentSchema'])}"
    if schema.get("type") == "array":
        return f"array of {_type(schema['items'])}"
    kind = str(schema.get("type", "any value"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _description(schema: _Schema) -> str:
    own = schema.get("description") or next(
        (one["description"] for one in schema.get("anyOf", ()) if "description" in one), ""
    )
    return str(own)


def _problem_link(code: str) -> str:
    return f"[`{code}`](problems/{code}.md)"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
