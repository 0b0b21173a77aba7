"""HTML of the pages, small and without scripts."""

from __future__ import annotations

import html
import re
from typing import Final

_CODE: Final = re.compile(r"`([^`]+)`")

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="{docs}/icon.svg" type="image/svg+xml">
{head}</head>
<body>
<header>
<a class="name" href="{docs}"><img src="{docs}/icon.svg" alt="" width="24" height="24">Sigil DNA</a>
<nav aria-label="Documents">
<a href="{docs}">API reference</a>
<a href="{docs}/problems">Problems</a>
<a href="{docs}/../openapi.json">openapi.json</a>
</nav>
</header>
{body}</body>
</html>
"""


def page(title: str, body: str, *, docs: str, head: str) -> bytes:
    """A whole page.

    Args:
        title: plain text.
        body: HTML.
        docs: the way from this page to ``/docs``, relative, so that the pages work behind any prefix.
        head: HTML of the style sheets.
    """
    return _PAGE.format(title=html.escape(title), body=body, docs=docs, head=head).encode()


def stylesheet(docs: str, name: str) -> str:
    """A link to a style sheet."""
    return f'<link rel="stylesheet" href="{docs}/{name}">\n'


def text(plain: str) -> str:
    """Text as HTML, what stands between backquotes as code."""
    return _CODE.sub(r"<code>\1</code>", html.escape(plain))
