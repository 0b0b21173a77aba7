"""The rate limit before an ASGI application, message by message."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigil_native import Decision, RateLimitedError, TokenBucket
from sigil_native._line_counter import LineCounter
from sigil_native.asgi import RateLimitMiddleware
from sigil_native.errors import InvalidOptionError

_NDJSON = [(b"content-type", b"application/x-ndjson; charset=utf-8")]


def _frozen(rate: float = 1, burst: int = 3) -> TokenBucket:
    """A bucket into which nothing comes back."""
    return TokenBucket(rate, burst, clock=lambda: 0)


async def _hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def _echo_lines(_scope: Any, receive: Any, send: Any) -> None:
    """Answers each piece of the body as it comes; a limit becomes a last line."""
    begun = False
    try:
        while True:
            message = await receive()
            if not begun:
                begun = True
                await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": message["body"], "more_body": True})
            if not message["more_body"]:
                break
    except RateLimitedError as error:
        if not begun:
            raise
        with pytest.raises(RateLimitedError):  # it stays that way
            await receive()
        await send({"type": "http.response.body", "body": error.code.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def ask(
    application: Any, *pieces: bytes, kind: str = "http", **scope: Any
) -> tuple[int | None, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces or (b"",), 1)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    defaults = {"type": kind, "method": "POST", "path": "/", "client": ("192.0.2.1", 1), "headers": []}
    await application({**defaults, **scope}, receive, send)
    start, *rest = sent
    headers = [(name.decode(), value.decode()) for name, value in start.get("headers", ())]
    assert len(dict(headers)) == len(headers)
    return start.get("status"), dict(headers), b"".join(message.get("body", b"") for message in rest)


async def test_requests_beyond_the_limit_are_refused() -> None:
    """The burst is let through and told what is left; then come problem documents with Retry-After."""
    limited = RateLimitMiddleware(_hello, _frozen())
    for remaining in (2, 1, 0):
        status, headers, body = await ask(limited)
        assert (status, body, headers["x-ratelimit-remaining"]) == (200, b"hello", str(remaining))
        assert headers["ratelimit-policy"] == '"default";q=3;w=3'
        assert "retry-after" not in headers
    status, headers, body = await ask(limited)
    assert (status, headers["retry-after"], headers["ratelimit"]) == (429, "1", '"default";r=0;t=1')
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(body))
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "code": "rate_limited",
        "detail": "the limit is 3 in 3 s, and 3 at once; try again in 1 s",
        "violated-policies": ["default"],
    }
    assert (await ask(limited, client=("192.0.2.2", 1)))[0] == 200


async def test_head_is_refused_without_a_body() -> None:
    """The headers are those of the answer to a GET."""
    limited = RateLimitMiddleware(_hello, _frozen(burst=1))
    await ask(limited)
    _, of_get, document = await ask(limited, method="GET")
    status, of_head, body = await ask(limited, method="HEAD")
    assert (status, of_head, body) == (429, of_get, b"")
    assert of_head["content-length"] == str(len(document))


async def test_what_is_not_limited_passes() -> None:
    """Exempt paths, requests without a key and other scopes are not counted and not marked."""
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        if scope["type"] == "http":
            await _hello(scope, receive, send)

    bucket = _frozen(burst=1)
    limited = RateLimitMiddleware(
        application, bucket, exempt=["/healthz"], key=lambda scope: scope.get("user")
    )
    for _ in range(3):
        assert (await ask(limited, path="/healthz", user="a"))[1] == {"content-length": "5"}
        assert (await ask(limited))[1] == {"content-length": "5"}
    await limited({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen[-1] == "lifespan"
    assert bucket.live_keys() == 0
    assert [(await ask(limited, user="a"))[0] for _ in range(2)] == [200, 429]


async def test_cost_may_depend_on_the_route() -> None:
    """A request takes what its route costs; what can never fit says so, and what costs nothing only looks."""
    limited = RateLimitMiddleware(
        _hello, _frozen(), cost=lambda scope: {"/dear": 2, "/never": 4, "/free": 0}.get(scope["path"], 1)
    )
    assert (await ask(limited, path="/dear"))[1]["x-ratelimit-remaining"] == "1"
    status, headers, body = await ask(limited, path="/never")
    assert (status, "retry-after" in headers) == (429, False)
    assert b"costs more than the limit ever allows" in body
    assert (await ask(limited, path="/dear"))[1]["retry-after"] == "1"
    assert [(await ask(limited, path=path))[0] for path in ("/", "/", "/free")] == [200, 429, 200]


async def test_fields_of_the_application_are_kept() -> None:
    """What the application writes about limits itself is neither doubled nor mixed with ours."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"X-RateLimit-Remaining", b"7")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    _, headers, _ = await ask(RateLimitMiddleware(application, _frozen()))
    assert headers == {
        "X-RateLimit-Remaining": "7",
        "ratelimit-policy": '"default";q=3;w=3',
        "ratelimit": '"default";r=2;t=1',
    }


async def test_shadow_only_counts() -> None:
    """Nobody is refused and nobody is told, but the outcomes are."""
    outcomes: list[str] = []
    limited = RateLimitMiddleware(
        _hello, _frozen(burst=1), shadow=True, on_outcome=lambda outcome, _: outcomes.append(outcome)
    )
    assert [await ask(limited) for _ in range(2)] == [(200, {"content-length": "5"}, b"hello")] * 2
    batch = RateLimitMiddleware(
        _echo_lines,
        _frozen(),
        shadow=True,
        per_line=True,
        on_outcome=lambda outcome, _: outcomes.append(outcome),
    )
    assert await ask(batch, b"1\n2\n3\n4\n5\n", headers=_NDJSON) == (200, {}, b"1\n2\n3\n4\n5\n")
    assert outcomes == ["allowed", "shadow_refused", "shadow_refused"]


async def test_application_may_answer_refusals() -> None:
    """An ASGI application of one's own answers instead, and its answer gets the header fields."""

    async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 420, "headers": []})
        await send({"type": "http.response.body", "body": b"calm down"})

    limited = RateLimitMiddleware(_hello, _frozen(burst=1), on_refused=refuse)
    await ask(limited)
    status, headers, body = await ask(limited)
    assert (status, headers["retry-after"], body) == (420, "1", b"calm down")


class _Remote:
    """A limiter that has to be asked over the network, and may be away."""

    def __init__(self) -> None:
        self.bucket = _frozen(burst=100)
        self.away = False

    async def check(self, key: str, cost: int) -> Decision:
        """As a bucket does."""
        if self.away:
            raise ConnectionError("away")
        return self.bucket.check(key, cost)


@pytest.mark.parametrize(("policy", "status"), [("allow", 200), ("refuse", 503)])
async def test_limiter_may_fail(policy: Any, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """While the limiter fails, requests are let through or answered with 503; the log has a line a change."""
    remote, outcomes = _Remote(), []
    limited = RateLimitMiddleware(
        _hello,
        remote,
        quota=100,
        window=10,
        exempt=["/healthz"],
        when_unavailable=policy,
        on_outcome=lambda outcome, _: outcomes.append(outcome),
    )
    with caplog.at_level(logging.WARNING, "sigil_native.asgi"):
        assert (await ask(limited))[1]["ratelimit-policy"] == '"default";q=100;w=10'
        remote.away = True
        for _ in range(3):
            found, headers, body = await ask(limited)
            assert found == status
            assert "ratelimit" not in headers
            assert policy == "allow" or json.loads(body)["code"] == "rate_limiter_unavailable"
            assert (await ask(limited, path="/healthz"))[0] == 200
        remote.away = False
        assert (await ask(limited))[0] == 200
    assert outcomes == ["allowed", *["unavailable"] * 3, "allowed"]
    assert [record.message for record in caplog.records] == [
        "the rate limiter fails",
        "the rate limiter works again",
    ]


async def test_keys_without_utf8_do_not_get_around_the_limit() -> None:
    """A key that cannot be encoded is limited like any other."""
    limited = RateLimitMiddleware(_hello, _frozen(burst=1), key=lambda _: "\udcff")
    assert [(await ask(limited))[0] for _ in range(2)] == [200, 429]


def _websocket(extensions: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "websocket",
        "path": "/",
        "client": ("192.0.2.1", 1),
        "headers": [],
        "extensions": extensions,
    }


async def test_websockets_are_refused_in_the_handshake() -> None:
    """With 429 where the server can answer the handshake, else with a close."""
    passed: list[str] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(scope["type"])

    async def connect(extensions: dict[str, Any]) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await limited(_websocket(extensions), receive, send)
        return sent

    limited = RateLimitMiddleware(application, _frozen(burst=1))
    assert await connect({}) == []
    assert passed == ["websocket"]
    assert await connect({}) == [{"type": "websocket.close", "code": 1008, "reason": "Too Many Requests"}]
    start, body = await connect({"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 429)
    assert (b"retry-after", b"1") in start["headers"]
    assert json.loads(body["body"])["status"] == 429
    assert passed == ["websocket"]


@given(
    st.binary(max_size=60).map(lambda raw: raw.translate(bytes(b"a \n\r"[i & 3] for i in range(256)))),
    st.data(),
)
def test_lines_are_counted_however_they_are_cut(body: bytes, data: st.DataObject) -> None:
    """Each line with something on it counts once, with the piece that has its first visible byte."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    counter = LineCounter()
    count = 0
    for number, piece in enumerate(pieces, 1):
        count += counter.feed(piece)
        assert count == sum(1 for line in b"".join(pieces[:number]).split(b"\n") if line.strip())


async def test_each_line_costs() -> None:
    """A line costs as much as a request; the first is paid for, and blank ones are free."""
    bucket = _frozen(burst=10)
    limited = RateLimitMiddleware(_hello, bucket, per_line=True, cost=2)
    assert (await ask(limited, b"1\n2\n3"))[1]["x-ratelimit-remaining"] == "8"  # not by line
    reading = RateLimitMiddleware(_echo_lines, bucket, per_line=True, cost=2)
    _, headers, body = await ask(reading, b"\n1", b"1\n \n2\n3\n", headers=_NDJSON)
    assert (headers["x-ratelimit-remaining"], body) == ("6", b"\n11\n \n2\n3\n")
    assert bucket.check("192.0.2.1", 0).remaining == 2
    by_path = RateLimitMiddleware(_echo_lines, bucket, per_line=lambda scope: scope["path"] == "/batch")
    assert (await ask(by_path, b"1\n2\n3\n", path="/batch"))[0] == 429


async def test_limit_within_a_body_answers_the_caller() -> None:
    """If nothing was sent yet, the caller gets 429 whatever the application does, and when all fits."""

    def limited(application: Any, outcomes: list[str]) -> RateLimitMiddleware:
        return RateLimitMiddleware(
            application, _frozen(), per_line=True, on_outcome=lambda outcome, _: outcomes.append(outcome)
        )

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except ValueError:
            await _hello(scope, receive, send)

    async def clumsy(_scope: Any, receive: Any, _send: Any) -> None:
        try:
            await receive()
        except ValueError as error:
            raise RuntimeError("cannot go on") from error

    for application in (stubborn, clumsy, _echo_lines):
        outcomes: list[str] = []
        middleware = limited(application, outcomes)
        status, headers, body = await ask(middleware, b"1\n2\n3\n4\n", headers=_NDJSON)
        assert (status, json.loads(body)["code"], outcomes) == (429, "rate_limited", ["refused"])
        assert "retry-after" not in headers  # four lines never fit into three tokens
        assert headers["x-ratelimit-remaining"] == "2"
        status, headers, _ = await ask(middleware, b"1\n2\n3\n", headers=_NDJSON)
        assert (status, headers["retry-after"]) == (429, "2")


async def test_limit_within_an_answer_interrupts() -> None:
    """Once the answer has begun, the application gets to know, and can say so in a line of its own."""
    limited = RateLimitMiddleware(_echo_lines, _frozen(), per_line=True)
    status, _, body = await ask(limited, b"1\n", b"2\n", b"3\n4\n", b"5\n", headers=_NDJSON)
    assert (status, body) == (200, b"1\n2\nrate_limited")


async def test_application_that_ignores_the_limit_is_cut_off() -> None:
    """An interruption that nobody catches ends the answer as incomplete, and not as if it were whole."""

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()

    limited = RateLimitMiddleware(application, _frozen(), per_line=True)
    with pytest.raises(RateLimitedError):
        await ask(limited, b"1\n2\n3\n4\n", headers=_NDJSON)


async def test_compressed_lines_are_refused() -> None:
    """Lines that cannot be counted are not let through, and the attempt costs a request."""
    bucket = _frozen()
    limited = RateLimitMiddleware(_echo_lines, bucket, per_line=True)
    status, _, body = await ask(limited, b"\x1f\x8b", headers=[*_NDJSON, (b"content-encoding", b"gzip")])
    assert (status, json.loads(body)["code"]) == (415, "unsupported_media_type")
    assert bucket.check("192.0.2.1", 0).remaining == 2


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: RateLimitMiddleware(_hello, _Remote()), InvalidOptionError),
        (lambda: RateLimitMiddleware(_hello, _frozen(), quota=3), InvalidOptionError),
        (lambda: RateLimitMiddleware(_hello, _frozen(0.01, 1), window=10), InvalidOptionError),
        (lambda: RateLimitMiddleware(_hello, _frozen(), cost=-1), InvalidOptionError),
        (lambda: RateLimitMiddleware(_hello, _frozen(), cost=1.5), TypeError),  # type: ignore[arg-type]
        (lambda: RateLimitMiddleware(_hello, _frozen(), exempt="/healthz"), TypeError),
        (lambda: RateLimitMiddleware(_hello, _frozen(), when_unavailable="no"), InvalidOptionError),  # type: ignore[arg-type]
        (lambda: RateLimitMiddleware(_hello, _frozen(), trusted_proxies=["x"]), InvalidOptionError),
    ],
)
def test_mistakes_are_reported_at_once(make: Callable[[], object], error: type[Exception]) -> None:
    """Arguments that cannot work are refused before the first request."""
    with pytest.raises(error):
        make()


@pytest.mark.parametrize(
    ("rate", "burst", "window", "policy"),
    [
        (20, 200, None, "q=200;w=10"),
        (1 / 60, 1, None, "q=1;w=60"),
        (1 / 3, 2, None, "q=2;w=6"),
        (1000, 10, None, "q=1000;w=1;sigil-burst=10"),
        (20, 30, None, "q=40;w=2;sigil-burst=30"),
        (20, 200, 60, "q=1200;w=60;sigil-burst=200"),
    ],
)
async def test_policy_is_the_buckets(rate: float, burst: int, window: int | None, policy: str) -> None:
    """Rate and burst of the bucket say what the policy is."""
    limited = RateLimitMiddleware(_hello, _frozen(rate, burst), window=window)
    assert (await ask(limited))[1]["ratelimit-policy"] == f'"default";{policy}'
