"""The rate limit in applications of Starlette and FastAPI, served by uvicorn."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from sigil_native import RateLimitedError, TokenBucket
from sigil_native.asgi import RateLimitMiddleware

_NDJSON = {"content-type": "application/x-ndjson"}


async def _hello(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def _count(request: Any) -> PlainTextResponse:
    return PlainTextResponse(str(len((await request.body()).split())))


class _Stream:
    """Answers while it reads; Starlette's own streams do not, as they read for the client's farewell."""

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            more = True
            while more:
                message = await receive()
                more = message["more_body"]
                await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        except RateLimitedError as error:
            line = b'{"error":"%s"}\n' % error.code.encode()
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _starlette() -> Starlette:
    return Starlette(
        routes=[
            Route("/", _hello),
            Route("/healthz", _hello),
            Route("/count", _count, methods=["POST"]),
            Route("/stream", _Stream(), methods=["POST"]),
        ]
    )


def _fastapi() -> Any:
    from tests.unit.fastapi_application import make  # noqa: PLC0415 - slow: other tests need not wait for it

    app = make()
    app.router.routes.append(Route("/stream", _Stream(), methods=["POST"]))
    return app


@contextlib.contextmanager
def _served(app: Any) -> Iterator[int]:
    """The port of an application that uvicorn serves."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", proxy_headers=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _ask(
    port: int, method: str = "GET", path: str = "/", body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=sent, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )


@pytest.mark.parametrize("make", [_starlette, _fastapi])
def test_three_lines_limit_an_application(make: Callable[[], Any]) -> None:
    """Over real connections: the burst, refusals, HEAD, exempt paths, and batches that cost by line."""
    app = make()
    bucket = TokenBucket(rate=0.001, burst=10)
    app.add_middleware(RateLimitMiddleware, bucket=bucket, per_line=True, exempt=["/healthz"])
    with _served(app) as port:
        status, headers, _ = _ask(port)
        assert (status, headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == (200, "10", "9")
        status, headers, body = _ask(port, "POST", "/count", b"1\n2\n\n3\n", **_NDJSON)
        assert (status, body.strip(b'"'), headers["x-ratelimit-remaining"]) == (200, b"3", "6")

        status, headers, body = _ask(port, "POST", "/count", b"1\n" * 8, **_NDJSON)
        assert (status, headers["content-type"]) == (429, "application/problem+json")
        assert (json.loads(body)["code"], headers["x-ratelimit-remaining"]) == ("rate_limited", "5")

        pieces = iter([b"1\n2\n", b"3\n4\n5\n6\n7\n8\n9\n"])

        def slowly() -> Iterator[bytes]:
            yield next(pieces)
            time.sleep(0.1)  # so that the server does not see both as one
            yield next(pieces)

        status, _, body = _ask(port, "POST", "/stream", slowly(), **_NDJSON, transfer_encoding="chunked")
        assert (status, body) == (200, b'1\n2\n{"error":"rate_limited"}\n')

        assert [_ask(port)[0] for _ in range(4)] == [200, 200, 200, 429]
        status, headers, body = _ask(port, "HEAD")
        assert (status, body) == (429, b"")
        assert int(headers["content-length"]) > 100
        assert _ask(port, path="/healthz")[0] == 200
        assert "x-ratelimit-limit" not in _ask(port, path="/healthz")[1]


def test_callers_behind_a_proxy_have_limits_of_their_own() -> None:
    """A trusted proxy's header tells callers apart; without trust it does not."""
    app = _starlette()
    app.add_middleware(
        RateLimitMiddleware, bucket=TokenBucket(rate=0.001, burst=1), trusted_proxies=["127.0.0.0/8"]
    )
    with _served(app) as port:
        asked = [
            _ask(port, x_forwarded_for=address)[0]
            for address in ("192.0.2.1", "192.0.2.2", "6.6.6.6, 192.0.2.1", "2001:db8::1", "2001:db8::2")
        ]
        assert asked == [200, 200, 429, 200, 429]


def test_documented_application_is_limited() -> None:
    """The example of the documents, served: 200 requests at once, then refusals, and /healthz as ever."""
    document = Path(__file__).resolve().parents[2] / "docs/library.md"
    blocks = re.findall(
        r"^```python\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (example,) = [block for block in blocks if "TokenBucket(rate=20, burst=200), exempt" in block]
    scope: dict[str, Any] = {}
    exec(compile(example, document.name, "exec"), scope)  # noqa: S102 (the project's own document)
    with (
        _served(scope["app"]) as port,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection,
    ):

        def ask(path: str) -> int:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status

        allowed = next(number for number in range(2000) if ask("/") == 429)
        assert allowed >= 200
        assert ask("/healthz") == 200
