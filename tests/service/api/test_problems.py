"""Errors as callers see them: documented, of one form, and silent about what would help an attacker."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app.api.openapi import document
from app.http.guard import Guard
from app.http.openapi_parts import problem_examples
from sigil_native import __version__
from tests.service.authentication.forge import AUDIENCE, ISSUER, Forge
from tests.service.running import SIGILS, Answer, Service

RECORD = f"{SIGILS}/019b8d7d-f1c0-72c1-9d4f-6a80c93e5b72"
POSTS = [SIGILS, f"{SIGILS}/verify", f"{RECORD}/revoke"]
MEMBERS = {"type", "title", "status", "code", "detail", "request_id", "pointer", "offset"}
#: What no caller learns: our code, our libraries, our files, our database, our keys.
TELLING = re.compile(
    r"Traceback|File \"|\.pyx?\b|line \d+, |\w+Error\b|Exception|0x[0-9a-f]{6}"
    r"|/(?:tmp|usr|home|var|etc|proc|opt)/|127\.0\.0\.1|localhost"
    r"|sqlite|SELECT|UPDATE |INSERT|constraint|disk I/O|locked|replaced"
    rf"|msgspec|joserfc|starlette|uvicorn|python|kid\b|audience|{re.escape(__version__)}",
    re.IGNORECASE,
)


def checked(answer: Answer) -> dict[str, object]:
    """The problem that this answer is, which has the form of all problems and tells nothing."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json
    assert problem.keys() <= MEMBERS
    example = problem_examples()[str(problem["code"])]["value"]
    assert {name: problem[name] for name in ("type", "title", "status", "code")} == {
        name: example[name] for name in ("type", "title", "status", "code")
    }
    assert problem["status"] == answer.status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert not TELLING.search(str(problem["detail"])), problem
    if answer.status == 503:
        assert int(answer.headers["retry-after"]) > 0
    if answer.status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer ")
    return problem


BODIES = {
    "syntax": b'{"data":{},}',
    "trailing_data": b'{"data":{}} {}',
    "invalid_utf8": b'{"data":{"a":"\xff"}}',
    "byte_order_mark": b'\xef\xbb\xbf{"data":{}}',
    "lone_surrogate": rb'{"data":{"a":"\ud800"}}',
    "duplicate_name": rb'{"data":{"a":1,"\u0061":2}}',
    "non_finite_number": b'{"data":{"a":1e999}}',
    "integer_range": b'{"data":{"a":9007199254740993}}',
    "nesting_too_deep": b'{"data":' + b"[" * 600 + b"]" * 600 + b"}",
    "invalid_request": b'{"data":[],"sigil":1,"reason":2}',
}


@pytest.mark.parametrize("path", POSTS, ids=["encode", "verify", "revoke"])
@pytest.mark.parametrize(("code", "body"), BODIES.items(), ids=list(BODIES))
def test_bodies(service: Service, path: str, code: str, body: bytes) -> None:
    """What is wrong with a body is told by its code, and where by pointer or offset."""
    problem = checked(service.call("POST", path, body, token=service.token()))
    assert problem["code"] == code
    assert "offset" in problem or "pointer" in problem


def test_requests(service: Service, tenant: str) -> None:
    """What is wrong with a request is told by its code, and no more than the caller may know."""
    token = service.token(tenant)
    reader = service.token(tenant, "sigil:read")
    stranger = service.token("")
    call = service.call
    text = {"Content-Type": "text/plain"}
    refusals = {
        "invalid_query": [
            call("GET", f"{SIGILS}?limit=0", token=token),
            call("GET", f"{SIGILS}?%", token=token),
        ],
        "invalid_cursor": [call("GET", f"{SIGILS}?cursor=x", token=token)],
        "unauthenticated": [
            call("GET", SIGILS),
            call("GET", SIGILS, token="x"),
            call("GET", SIGILS, token="e30.e30.e30"),
            call("GET", SIGILS, token=token[:-4] + "AAAA"),
            call("GET", SIGILS, token=service.token(tenant, lifetime=-60)),
        ],
        "forbidden": [call("POST", SIGILS, {"data": {}}, token=reader), call("GET", SIGILS, token=stranger)],
        "not_found": [call("GET", "/etc/passwd"), call("GET", RECORD, token=token)],
        "method_not_allowed": [call("PUT", SIGILS, token=token), call("DELETE", "/docs")],
        "body_too_large": [call("POST", SIGILS, b"x" * (1 << 21), token=token)],
        "unsupported_media_type": [
            call("POST", SIGILS, b"{}", token=token, headers=text),
            call("POST", SIGILS, b"{}", token=token, headers={"Content-Encoding": "gzip"}),
        ],
        "data_missing": [call("POST", f"{SIGILS}/verify", {"sigil": "sgl1_x"}, token=token)],
    }
    for code, answers in refusals.items():
        assert [checked(answer)["code"] for answer in answers] == [code] * len(answers)
    # Why a token is refused, an attacker cannot tell from the answers.
    assert len({answer.json["detail"] for answer in refusals["unauthenticated"][1:]}) == 1


def test_failures(new_service: Callable[..., Service]) -> None:
    """What is wrong with the service is told by its code; the cause is in the log, under the request's id."""
    service = new_service().start()
    token = service.token()
    record = service.encode({"a": 1}, token=token)
    database = service.data_dir / "sigils.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE sigils SET canonical_sha256 = x'00'")
    connection.close()
    answers = {"record_corrupt": service.call("GET", f"{SIGILS}/{record['id']}", token=token)}
    database.unlink()
    answers["store_unavailable"] = service.call("POST", SIGILS, {"data": {}}, token=token)
    answers["not_ready"] = service.call("GET", "/readyz")
    for code, answer in answers.items():
        assert checked(answer)["code"] == code
        (logged,) = [
            line
            for line in service.logged("request failed")
            if line["request_id"] == answer.json["request_id"]
        ]
        assert logged["code"] == code
        assert len(logged["cause"]) > len("replaced")


def test_keys_that_cannot_be_had(new_service: Callable[..., Service], forge: Forge) -> None:
    """Nobody learns from an answer where the keys are fetched."""
    service = new_service(
        JWT_ISSUER=ISSUER, JWT_AUDIENCE=AUDIENCE, JWT_JWKS_URI="http://127.0.0.1:9/jwks"
    ).start()
    refused = service.call("GET", SIGILS, token=forge.by(forge.ec, "first", "ES256"))
    assert checked(refused)["code"] == "keys_unavailable"
    assert checked(service.call("GET", "/readyz"))["code"] == "not_ready"


async def test_defects() -> None:
    """A defect is a 500 that says nothing about it."""

    async def defective(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError(f"no such table: sigils, {Path(__file__)}")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    with capture_logs() as logged:
        await Guard(defective, max_body_bytes=1024)(scope, receive, send)
    start, body = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    problem = checked(Answer(start["status"], headers, body["body"]))
    assert problem["code"] == "internal"
    assert b"sigils" not in body["body"]
    assert [(line["event"], line["request_id"]) for line in logged] == [
        ("request failed", problem["request_id"])
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {},
    optional={
        "data": json_values,
        "sigil": json_values,
        "reason": json_values,
        "expires_in": json_values,
        "more": json_values,
    },
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """JSON text, some of its bytes changed, taken out, doubled or put elsewhere."""
    text = bytearray(json.dumps(draw(requests)).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 8)))
        text[at:end] = draw(
            st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"]", b",", b"\\u", b"1e999"])
        )
    return bytes(text)


deep = st.builds(
    lambda opening, depth, closing: opening * depth + b"1" + closing * depth,
    st.sampled_from([b"[", b'{"data":', b'{"a":[']),
    st.integers(1, 20_000),
    st.sampled_from([b"]", b"}", b"]}", b""]),
)
encoded = st.builds(
    lambda value, encoding: json.dumps(value).encode(encoding),
    requests,
    st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "cp037"]),
)
bodies = st.one_of(
    requests.map(lambda value: json.dumps(value).encode()), mutated(), st.binary(max_size=200), deep, encoded
)


@pytest.mark.parametrize("path", POSTS, ids=["encode", "verify", "revoke"])
def test_any_body(service: Service, path: str) -> None:
    """Whatever bytes a body has, the answer is one that the description lists for the call."""
    template = path.replace(RECORD, f"{SIGILS}/{{id}}")
    responses = document()["paths"][template]["post"]["responses"]
    token = service.token("hypothesis")

    @settings(suppress_health_check=list(HealthCheck))
    @given(bodies)
    def check(body: bytes) -> None:
        answer = service.call("POST", path, body, token=token)
        assert answer.status < 500
        described = responses[str(answer.status)]["content"]
        if answer.status >= 400:
            problem = checked(answer)
            assert problem["code"] in described["application/problem+json"]["examples"]
        else:
            assert answer.headers["content-type"] in described

    check()
