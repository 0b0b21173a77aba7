"""The pages and their files as they go over the wire."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest

from app.documentation.assets import lift_images, load_assets
from app.http.problem_catalogue import KINDS, problem_type
from tests.service.running import Service

PAGES = ["/docs", "/docs/problems", *(problem_type(code) for code in KINDS)]
FILES = [f"/docs/{name}" for name in load_assets()]
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
}


class References(HTMLParser):
    """What a page links to or loads, and what its policy would not let run."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Gather the tag's references."""
        named = dict(attrs)
        self.found += [value for name, value in attrs if name in {"href", "src"} and value]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)
        self.inline += [name for name in named if name == "style" or name.startswith("on")]


def policy(header: str) -> dict[str, str]:
    """The directives of a Content-Security-Policy."""
    return {name: value for name, _, value in (part.strip().partition(" ") for part in header.split(";"))}


def test_pages(service: Service) -> None:
    """Every page is HTML without anything inline, all that it links to is there, and nothing is elsewhere."""
    known = set()
    for path in PAGES:
        answer = service.call("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        references = References(answer.body)
        assert references.inline == []
        assert not any(":" in found or found.startswith("/") for found in references.found)
        known |= {urljoin(path, found) for found in references.found}
    for path in known:
        assert service.call("HEAD", path).status == 200, path
    assert known >= set(PAGES)


def test_policies(service: Service) -> None:
    """Pages allow what they need: nothing by default, nothing inline, no other host."""
    plain = {
        "default-src": "'none'",
        "img-src": "'self'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    for path in PAGES[1:]:
        assert policy(service.call("HEAD", path).headers["content-security-policy"]) == plain
    scripted = {"script-src": "'self'", "connect-src": "'self'"}
    assert policy(service.call("HEAD", "/docs").headers["content-security-policy"]) == plain | scripted


def test_problem_pages_say_what_the_catalogue_says(service: Service) -> None:
    """Each page has its problem's status, code, title, cause and remedy."""
    for code, kind in KINDS.items():
        page = service.call("GET", problem_type(code)).body.decode()
        shown = re.sub(r"\s+", " ", re.sub(r"</?code>", "", page))
        for text in (str(kind.status), code, kind.title, kind.cause, kind.remedy):
            escaped = text.replace("`", "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            assert escaped.replace("'", "&#x27;") in shown, (code, text)


@pytest.mark.parametrize("path", ["/docs", "/docs/problems/syntax", "/docs/swagger-ui.js", "/docs/page.css"])
def test_what_the_reader_has_is_not_sent_again(service: Service, path: str) -> None:
    """A file is asked for again each time, and sent again only when it is another one."""
    first = service.call("GET", path)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = service.call("GET", path, headers={"If-None-Match": known})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    other = service.call("GET", path, headers={"If-None-Match": '"other"'})
    assert (other.status, other.body) == (200, first.body)


def test_files(service: Service) -> None:
    """Every file has its type, is not sniffed, and comes whole; HEAD has its length and no body."""
    for path in FILES:
        answer = service.call("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"] == TYPES[path.rpartition(".")[2]]
        assert answer.headers["x-content-type-options"] == "nosniff"
        head = service.call("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) == len(answer.body) > 0


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/nothing",
        "/docs/SWAGGER-UI.CSS",
        "/docs/swagger-ui.css/",
        "/docs/swagger-ui-bundle.js.map",
        "/docs/routes.py",
        "/docs/../app/documentation/routes.py",
        "/docs/..%2froutes.py",
        "/docs/%2e%2e/routes.py",
        "/docs/..%5croutes.py",
        "/docs/static/page.css",
        "/docs//etc/passwd",
        "/docs/%2fetc%2fpasswd",
        "/docs/page.css%00",
        "/docs/problems/",
        "/docs/problems/nothing",
        "/docs/problems/syntax/more",
        "/docs/problems/..",
        "/docs/problems/%3Cscript%3E",
    ],
)
def test_nothing_else_is_served(service: Service, path: str) -> None:
    """Files and pages are known by their exact names; anything else is no path."""
    answer = service.call("GET", path)
    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/docs", "/docs/problems", "/docs/problems/syntax", "/docs/page.css"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_pages_are_for_reading(service: Service, method: str, path: str) -> None:
    """Pages take no other method than GET and HEAD."""
    answer = service.call(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_lifted_images() -> None:
    """Images leave a style sheet for files of their own, whatever their encoding and quotes."""
    style, images = lift_images(
        'a{background:url("data:image/svg+xml;charset=utf-8,<svg fill=\\"%23fff\\" d=\\"M4 (1)\\"/>") 0 0}'
        "b{background:#fff url(data:image/png;base64,AAEC) 50%}c{src:url(font.woff)}"
    )
    (svg, first), (png, second) = images.items()
    assert style == (
        f"a{{background:url({svg}) 0 0}}b{{background:#fff url({png}) 50%}}c{{src:url(font.woff)}}"
    )
    assert (first.body, first.media_type) == (b'<svg fill="#fff" d="M4 (1)"/>', b"image/svg+xml")
    assert (second.body, second.media_type) == (b"\x00\x01\x02", b"image/png")
    assert svg.endswith(".svg")
    assert png.endswith(".png")


def test_no_embedded_data_remains() -> None:
    """The style sheet that is served embeds nothing, and all it names is served beside it."""
    assets = load_assets()
    style = assets["swagger-ui.css"].body.decode()
    named = re.findall(r"url\(([^)]*)\)", style)
    assert named
    assert set(named) <= assets.keys()
