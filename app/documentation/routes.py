"""Where the pages are, and what browsers may do on them."""

from __future__ import annotations

from typing import Final

from starlette.routing import Route

from app.api.resource import Public
from app.documentation.assets import HTML, Asset, asset, load_assets
from app.documentation.html import page, stylesheet
from app.documentation.problem_pages import problem_index, problem_page
from app.http.context import Context
from app.http.problem_catalogue import KINDS, PROBLEM_PAGES
from app.http.problems import ProblemError
from app.http.replies import Reply
from app.http.resource import Handler, Resource
from app.limits.addresses import AddressLimits

DOCS: Final = "/docs"

_CLOSED: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
#: Pages without scripts.
_PLAIN: Final = (
    (b"content-security-policy", f"default-src 'none'; img-src 'self'; style-src 'self'; {_CLOSED}".encode()),
)
#: The reference runs the scripts served beside it, and calls this service.
_SCRIPTED: Final = (
    (
        b"content-security-policy",
        "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; style-src 'self'; "
        f"{_CLOSED}".encode(),
    ),
)

_REFERENCE: Final = """<noscript>
<main>
<h1>API reference</h1>
<p>This page needs JavaScript. Without it, read <a href="openapi.json">the description</a> that it is made
from and <a href="docs/problems">the pages about problems</a>.</p>
</main>
</noscript>
<div id="reference"></div>
<script src="docs/swagger-ui.js"></script>
<script src="docs/reference.js"></script>
"""


class DocumentationRoutes:
    """The reference, the problems' pages, and the files that they load. Nobody needs a token to read."""

    def __init__(self, limits: AddressLimits) -> None:
        self._limits = limits
        head = "".join(stylesheet("docs", name) for name in ("page.css", "swagger-ui.css", "reference.css"))
        reference = page("API reference · Sigil DNA", _REFERENCE, docs="docs", head=head)
        self._reference = asset(reference, HTML, _SCRIPTED)
        self._index = asset(problem_index(), HTML, _PLAIN)
        self._problems = {code: asset(problem_page(code, kind), HTML, _PLAIN) for code, kind in KINDS.items()}
        self._files = load_assets()

    def routes(self) -> list[Route]:
        """Where the pages live."""
        return [
            self._page(DOCS, self.reference),
            self._page(PROBLEM_PAGES, self.problem_index),
            self._page(PROBLEM_PAGES + "/{name}", self.problem),
            self._page(DOCS + "/{name}", self.file),
        ]

    def _page(self, path: str, handler: Handler) -> Route:
        return Route(path, Resource(self._limits, get=Public(handler, self._limits)))

    async def reference(self, context: Context) -> Reply:
        """The API's reference."""
        return self._reference.reply(context)

    async def problem_index(self, context: Context) -> Reply:
        """All problems."""
        return self._index.reply(context)

    async def problem(self, context: Context) -> Reply:
        """What one problem means."""
        return _named(self._problems, context).reply(context)

    async def file(self, context: Context) -> Reply:
        """What the pages load."""
        return _named(self._files, context).reply(context)


def _named(known: dict[str, Asset], context: Context) -> Asset:
    """What the path names, of what is known by exactly this name."""
    found = known.get(context.scope["path_params"]["name"])
    if found is None:
        raise ProblemError("not_found", "no such path")
    return found
