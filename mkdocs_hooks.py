"""What mkdocs makes from the service's own description and catalogue, so that no text stands twice."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from app.api.openapi import document
from app.documentation.site import operations, problem_list, problem_markdown
from app.http.problem_catalogue import KINDS


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each problem."""
    for code, kind in KINDS.items():
        files.append(File.generated(config, f"problems/{code}.md", content=problem_markdown(code, kind)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what is made in the place of its mark."""
    if page.file.src_uri == "problems.md":
        return markdown.replace("<!-- problems -->", problem_list())
    if page.file.src_uri == "api.md":
        return markdown.replace("<!-- operations -->", operations(document()))
    return markdown
