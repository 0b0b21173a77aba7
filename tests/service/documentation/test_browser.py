"""The pages as a reader has them: in a real Chromium, under the policy that the service sends.

To render the reference takes Chromium seconds, so no test does it twice.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright

from app.api.openapi import document
from app.http.problem_catalogue import KINDS, problem_type
from tests.service.running import SIGILS, Service

OPERATIONS = [operation for methods in document()["paths"].values() for operation in methods.values()]
heavy = pytest.mark.heavy("one page is enough")
ENCODE = "#operations-Sigils-encode"
PHONE: Final[ViewportSize] = {"width": 320, "height": 640}
#: What Chromium has for each step, in milliseconds: it renders for seconds of a processor, which may be busy.
PATIENCE: Final = 120_000
DESK: Final[ViewportSize] = {"width": 1280, "height": 720}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all; the sandbox is the container that the tests run in."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


class Reader:
    """A page, and all that the browser complained of or asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, url: str) -> None:
        """Go there, and see it rendered."""
        answer = self.page.goto(url)
        assert answer is not None
        assert answer.status == 200

    def authorize(self, token: str) -> None:
        """Give the page a token."""
        self.page.get_by_role("button", name="Authorize").first.click()
        self.page.locator(".auth-container input").fill(token)
        self.page.locator(".auth-btn-wrapper").get_by_role("button", name="Apply credentials").click()
        self.page.locator(".auth-btn-wrapper").get_by_role("button", name="Close").click()

    def encode(self) -> None:
        """Press that button."""
        self.page.locator(ENCODE).get_by_role("button", name="Execute").click()

    def fits_a_phone(self) -> None:
        """Nothing of the page is wider than the reader's phone."""
        assert self.page.evaluate("document.documentElement.scrollWidth") <= 320, self.page.url

    def sees(self, status: str) -> None:
        """The answer that the page shows has this status."""
        shown = self.page.locator(f"{ENCODE} .live-responses-table .response .response-col_status")
        expect(shown).to_contain_text(status)


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    """A reader with a fresh browser profile."""
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield Reader(context.new_page())
    context.close()


@pytest.fixture
def prefixed(service: Service) -> Iterator[str]:
    """The service behind a proxy that serves it under a prefix."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0)) or None
            path = self.path.removeprefix("/seals")
            assert path != self.path
            answer = service.call(self.command, path, body, headers=dict(self.headers.items()))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815 - so named by the class

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        serving = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{proxy.server_port}/seals"
        proxy.shutdown()
        serving.join()


@pytest.fixture(params=[pytest.param("at the root", marks=heavy), "behind a prefix"])
def place(request: pytest.FixtureRequest, service: Service) -> str:
    """Where a reader finds the service; nothing about a root is different, but that it is shorter."""
    if request.param == "at the root":
        return service.url
    prefixed: str = request.getfixturevalue("prefixed")
    return prefixed


def test_reference(service: Service, reader: Reader, place: str, tenant: str) -> None:
    """The reference shows every operation, follows the reader's colours, fits a phone, asks no other host.

    With a token, its own buttons seal the example; without one, they show the refusal. Links lead to the
    problems' pages and back.
    """
    reader.page.set_viewport_size(PHONE)
    reader.open(f"{place}/docs/problems")
    reader.page.get_by_role("link", name="byte_order_mark").click()
    expect(reader.page.get_by_role("heading", level=1)).to_have_text(KINDS["byte_order_mark"].title)
    reader.page.get_by_role("link", name="API reference").click()
    expect(reader.page.locator(".opblock")).to_have_count(len(OPERATIONS))
    reader.fits_a_phone()
    reader.page.set_viewport_size(DESK)
    for operation in OPERATIONS:
        block = reader.page.locator(f"#operations-{operation['tags'][0]}-{operation['operationId']}")
        expect(block).to_contain_text(operation["summary"])
    reader.page.locator(f"{ENCODE} .opblock-summary-control").click()
    expect(reader.page.locator(f"{ENCODE} .responses-table")).to_contain_text("internal: The service failed.")
    # The pages' own style stays out of the reference's.
    for code in reader.page.locator(f"{ENCODE} pre code").all():
        expect(code).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    schemes: tuple[tuple[Literal["light", "dark"], str], ...] = (
        ("light", "rgb(255, 255, 255)"),
        ("dark", "rgb(28, 32, 34)"),
    )
    for scheme, ground in schemes:
        reader.page.emulate_media(color_scheme=scheme)
        expect(reader.page.locator("body")).to_have_css("background-color", ground)
        expect(reader.page.locator("html.dark-mode")).to_have_count(int(scheme == "dark"))
    assert reader.complaints == []

    reader.page.locator(ENCODE).get_by_role("button", name="Try it out").click()
    reader.encode()
    reader.sees("401")
    reader.complaints.clear()  # of an answer that is an error
    token = service.token(tenant)
    reader.authorize(token)
    reader.encode()
    reader.sees("201")
    (kept,) = service.call("GET", SIGILS, token=token).json["sigils"]
    expect(reader.page.locator(f"{ENCODE} .live-responses-table")).to_contain_text(kept["sigil"])
    assert reader.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]

    link = reader.page.locator(ENCODE).get_by_role("link", name="store_overloaded").get_attribute("href")
    reader.open(f"{place}/{link}")
    expect(reader.page.get_by_role("heading", level=1)).to_have_text(KINDS["store_overloaded"].title)
    reader.page.get_by_role("link", name="All problems").click()
    expect(reader.page.get_by_role("link", name="byte_order_mark")).to_be_visible()
    assert reader.complaints == []
    assert all(url.startswith(f"{place}/") for url in reader.asked)


@pytest.mark.heavy("to follow the reference's links shows such pages too, as do tests without a browser")
def test_problem_pages(service: Service, reader: Reader) -> None:
    """An error's type leads to its page, which fits a phone and says what to do."""
    reader.page.set_viewport_size(PHONE)
    refused = service.call("GET", "/nowhere").json
    reader.open(service.url + refused["type"])
    expect(reader.page.get_by_role("heading", level=1)).to_have_text(refused["title"])
    expect(reader.page.locator("main")).to_contain_text(KINDS[refused["code"]].remedy)
    for path in (problem_type("unsupported_media_type"), "/docs/problems"):
        reader.open(service.url + path)
        reader.fits_a_phone()
    assert reader.complaints == []


def test_without_scripts(service: Service, browser: Browser) -> None:
    """A reader without JavaScript is led to the description and the problems' pages."""
    context = browser.new_context(java_script_enabled=False)
    reader = Reader(context.new_page())
    reader.open(f"{service.url}/docs")
    for name in ("the description", "the pages about problems"):
        link = reader.page.get_by_role("link", name=name).get_attribute("href")
        assert service.call("GET", f"/{link}").status == 200
    context.close()


SMUGGLED = (
    '<script>window.ran = true</script><img src="data:," onerror="window.ran = true">'
    '<script src="https://elsewhere.test/evil.js"></script><style>h1 { color: red }</style>'
)


@pytest.mark.parametrize(
    ("path", "policed"),
    [
        ("/docs", True),
        pytest.param("/docs", False, marks=heavy),
        pytest.param(problem_type("syntax"), True, marks=heavy),
        pytest.param(problem_type("syntax"), False, marks=heavy),
    ],
)
def test_smuggled_scripts(service: Service, reader: Reader, path: str, policed: bool) -> None:
    """What somebody smuggles into a page neither runs nor loads; without the policy it would."""

    def smuggle(route: Route) -> None:
        answer = route.fetch()
        headers = dict(answer.headers)
        policy = headers.pop("content-security-policy")
        if policed:
            headers["content-security-policy"] = policy
        body = answer.text().replace("</header>", f"</header>{SMUGGLED}")
        route.fulfill(response=answer, headers=headers, body=body)

    reader.page.route("https://elsewhere.test/**", lambda route: route.fulfill(body="window.ran = true"))
    reader.page.route(service.url + path, smuggle)
    reader.page.route("**/swagger-ui.js", lambda route: route.fulfill(body=""))  # quicker
    reader.open(service.url + path)
    assert reader.page.evaluate("window.ran ?? false") is not policed
    blocked = [text for text in reader.complaints if "Content Security Policy" in text]
    assert len(blocked) == (5 if policed else 0)
