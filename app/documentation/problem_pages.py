"""A page for each problem, and one that lists them."""

from __future__ import annotations

import html
from http import HTTPStatus
from itertools import groupby
from typing import Final

from app.documentation.html import page, stylesheet, text
from app.http.problem_catalogue import KINDS, Kind, problem_type

_INDEX: Final = """<main>
<h1>Problems</h1>
<p>Every error is an <code>application/problem+json</code> document. Its <code>code</code> is one of these,
and its <code>type</code> leads to the page that says what happened and what to do.</p>
{groups}</main>
"""
_GROUP: Final = """<section aria-labelledby="status-{status}">
<h2 id="status-{status}">{status} {phrase}</h2>
<dl>
{entries}</dl>
</section>
"""
_ENTRY: Final = '<dt><a href="problems/{code}"><code>{code}</code></a></dt>\n<dd>{title}</dd>\n'
_KIND: Final = """<main>
<p class="status">{status} {phrase}</p>
<h1>{title}</h1>
<dl class="facts">
<dt>code</dt><dd><code>{code}</code></dd>
<dt>type</dt><dd><code>{kind}</code></dd>
</dl>
<h2>What happened</h2>
<p>{cause}</p>
<h2>What to do</h2>
<p>{remedy}</p>
<p class="more"><a href="../problems">All problems</a></p>
</main>
"""


def problem_index() -> bytes:
    """The page that lists all problems, by status."""
    ordered = sorted(KINDS.items(), key=lambda item: (item[1].status, item[0]))
    groups = "".join(
        _GROUP.format(
            status=status,
            phrase=HTTPStatus(status).phrase,
            entries="".join(_ENTRY.format(code=code, title=text(kind.title)) for code, kind in kinds),
        )
        for status, kinds in groupby(ordered, key=lambda item: item[1].status)
    )
    body = _INDEX.format(groups=groups)
    return page("Problems · Sigil DNA", body, docs="../docs", head=stylesheet("../docs", "page.css"))


def problem_page(code: str, kind: Kind) -> bytes:
    """The page of one problem."""
    body = _KIND.format(
        status=kind.status,
        phrase=HTTPStatus(kind.status).phrase,
        title=text(kind.title),
        code=html.escape(code),
        kind=html.escape(problem_type(code)),
        cause=text(kind.cause),
        remedy=text(kind.remedy),
    )
    title = f"{kind.title} · Sigil DNA"
    return page(title, body, docs="../../docs", head=stylesheet("../../docs", "page.css"))
