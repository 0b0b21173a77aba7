"""What the service takes for a request, and what it does with everything else."""

from __future__ import annotations

import json
import re
import socket
import time

import pytest

from tests.service.running import SIGILS, Service
from tests.service.server.wire import (
    LAST,
    connected,
    exchange,
    read_answer,
    read_to_end,
    request,
    resident,
    statuses,
)

#: Accepted, it is answered with 401: nobody has a token here.
POST = f"POST {SIGILS}/verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
#: Would be answered with 404, if anybody ever took it for a request.
HIDDEN = request("/hidden")


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/0.9\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.10\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
        b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"FOO /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G" * 5000 + b" /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz#part HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /h\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        GET + b"Host: y\r\n\r\n",
        GET + b"X: a\x00b\r\n\r\n",
        GET + b"X\x00: a\r\n\r\n",
        GET + b"X: a\rY: b\r\n\r\n",
        GET + b"X: a\nY: b\r\n\r\n",
        GET.replace(b"\r\n", b"\n") + b"\n",
        GET + b"X: a\r\n b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n",
        GET + b": y\r\n\r\n",
        GET + b"name\r\n\r\n",
        GET + b"\xe9: y\r\n\r\n",
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: 2, 2\r\n\r\n{}",
        POST + b"Content-Length: +2\r\n\r\n{}",
        POST + b"Content-Length: -1\r\n\r\n{}",
        POST + b"Content-Length: 0x2\r\n\r\n{}",
        POST + b"Content-Length: 2 2\r\n\r\n{}",
        POST + b"Content-Length:\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"+1\r\na\r\n0\r\n\r\n",
        CHUNKED + b" 1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFF\r\na\r\n0\r\n\r\n",
        CHUNKED + b"\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1\na\n0\n\n",
        CHUNKED + b"1\r\naX\r\n0\r\n\r\n",
        CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    ],
)
def test_refused(service: Service, text: bytes) -> None:
    """What is no HTTP/1.1, or could be understood in two ways, gets one 400 and no more."""
    received = exchange(service.port, text + LAST)
    assert statuses(received) == [400]
    assert b"content-security-policy: default-src 'none'" in received


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"\r\n\r\n" + GET + b"\r\n", 200),
        (GET + b"Content-Length: 5\r\n\r\nabcde", 200),
        (b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 200),
        (b"GET /%68ealthz HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (POST + b"Content-Length: 2\r\n\r\n{}", 401),
        (POST + b"Transfer-Encoding:\tChunked\r\n\r\n2;x=y\r\n{}\r\n0\r\n\r\n", 401),
        (CHUNKED + b"0" * 30 + b"2\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", 401),
        (POST + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN, 401),
        (POST + b"Content-Length: 2\r\nExpect: 200-ok\r\n\r\n{}", 401),
    ],
)
def test_accepted(service: Service, text: bytes, status: int) -> None:
    """An unusual request that has one meaning is answered, and the next one begins where it ends."""
    assert statuses(exchange(service.port, text + LAST)) == [status, 200]
    for cut in range(1, len(text), 5):  # it means the same
        assert statuses(exchange(service.port, text[:cut], text[cut:] + LAST)) == [status, 200], cut


@pytest.mark.parametrize("headers", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0(service: Service, headers: bytes) -> None:
    """A client of HTTP/1.0, which needs no Host, gets one answer and a closed connection."""
    text = b"GET /healthz HTTP/1.0\r\n" + headers + b"\r\n"
    assert statuses(exchange(service.port, text + LAST)) == [200]


def test_bad_requests_are_not_logged(service: Service) -> None:
    """Who sends nonsense cannot fill the log with it."""
    before = service.log_path.read_text()
    assert statuses(exchange(service.port, b"nonsense\r\n\r\n")) == [400]
    assert service.log_path.read_text() == before


def test_bad_after_good(service: Service) -> None:
    """A request is answered as it deserves although what follows it is broken; only then comes the 400."""
    token = service.token("bad-after-good")
    good = request(SIGILS, method="POST", body=b'{"data":{}}', token=token)
    assert statuses(exchange(service.port, good + b"nonsense\r\n\r\n")) == [201, 400]


def test_body_that_breaks(service: Service) -> None:
    """A request whose body turns out to be broken gets one answer, and it is 400."""
    head = POST + f"Authorization: Bearer {service.token()}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with connected(service.port) as connection:
        connection.sendall(head + b"5\r\n")
        time.sleep(0.05)  # the request is being handled, which waits for its body
        connection.sendall(b'{"dat\r\nsize\r\n')
        assert statuses(read_to_end(connection)) == [400]


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_offers_to_upgrade(service: Service, protocol: str) -> None:
    """An offer of another protocol is answered in this one; what follows it is never taken for a request."""
    before = service.log_path.read_text()
    offer = ("Connection: Upgrade", f"Upgrade: {protocol}", "Sec-WebSocket-Version: 13")
    received = exchange(service.port, request("/healthz", *offer) + HIDDEN)
    assert statuses(received) == [200]
    assert b"connection: close" in received
    post = request(SIGILS, *offer, method="POST", body=HIDDEN)
    head = post.removesuffix(HIDDEN)
    assert statuses(exchange(service.port, post)) == [401]
    assert statuses(exchange(service.port, head, HIDDEN)) == [401]
    assert service.log_path.read_text() == before


def test_space_behind_values(service: Service) -> None:
    """Space and tabs behind a header's value are no part of it."""
    token = service.token()
    head = POST + f"Authorization: Bearer {token} \t\r\nX-Request-Id: mine \r\n".encode()
    received = exchange(service.port, head + b"Content-Length: 2 \r\nConnection: close \r\n\r\n{}")
    assert statuses(received) == [422]
    assert b"x-request-id: mine\r\n" in received


def flood(connection: socket.socket, piece: bytes) -> bytes:
    """Send the piece again and again until the other side hangs up; what it said."""
    for _ in range(1000):
        try:
            connection.sendall(piece)
        except ConnectionError:
            return read_to_end(connection)
    raise AssertionError("all of it was read")


@pytest.mark.parametrize(
    ("beginning", "more", "answers"),
    [
        (b"GET /", b"a" * 20_000, [431]),
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 20_000, [431]),
        (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 20_000, [431]),
        (CHUNKED + b"0\r\n", b"X: a\r\n" * 20_000, [401]),
        (CHUNKED + b"1\r\na\r\n0\r\nX: ", b"a" * 20_000, [401]),
        (CHUNKED + b"1\r\na\r\n1;", b"a" * 20_000, [401]),
        (CHUNKED, b"1\r\na\r\n" * 10_000, [401]),
    ],
    ids=["path", "header", "headers", "trailers", "trailer", "extension", "chunks"],
)
def test_endless(service: Service, beginning: bytes, more: bytes, answers: list[int]) -> None:
    """Whoever never comes to the end is cut off, after the answer as well, and nothing of it is kept."""
    before = resident(service.pid)
    with connected(service.port) as connection:
        connection.sendall(beginning)
        # Broken off before the answer, or after it; and a reset may overtake what was said.
        assert statuses(flood(connection, more)) in (answers, [400], [])
    assert service.call("GET", "/healthz").status == 200
    assert resident(service.pid) - before < 32 << 20


def test_many_headers(service: Service) -> None:
    """A request may have 128 headers; one with more is refused."""
    fine = [f"X-{number}: a" for number in range(126)]
    assert statuses(exchange(service.port, request("/healthz", *fine, "Connection: close"))) == [200]
    assert statuses(exchange(service.port, request("/healthz", *fine, "X: a", "Connection: close"))) == [431]


def test_large_head(service: Service) -> None:
    """A head of just under 64 KiB is read."""
    headers = {"Authorization": "Bearer " + "a" * 60_000}
    assert service.call("GET", SIGILS, headers=headers).status == 401


def test_small_chunks(service: Service) -> None:
    """A body in as many pieces as it has bytes is read; one of tens of thousands is refused."""
    head = CHUNKED.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {service.token()}\r\n\r\n".encode())

    def chunks(length: int) -> bytes:
        body = json.dumps({"sigil": "x", "data": {"a": "b" * length}})
        return head + b"".join(b"1\r\n%c\r\n" % ord(one) for one in body) + b"0\r\n\r\n"

    assert statuses(exchange(service.port, chunks(3000) + LAST)) == [200, 200]
    assert statuses(exchange(service.port, chunks(30_000) + LAST)) in ([400], [])


def test_trailers_are_no_headers(service: Service) -> None:
    """What follows a chunked body cannot bring a token past whatever guards the headers."""
    trailer = f"Authorization: Bearer {service.token()}\r\n\r\n".encode()
    received = exchange(service.port, CHUNKED + b"2\r\n{}\r\n0\r\n" + trailer + LAST)
    assert statuses(received) == [401, 200]


def test_pipelined_requests(service: Service) -> None:
    """Requests that arrive in one piece, or cut in the middle of a head, are answered in order."""
    body = b'{"sigil":"x","data":{"a":"' + b"HTTP/1.1 " * 20_000 + b'"}}'
    post = request(f"{SIGILS}/verify", method="POST", body=body, token=service.token())
    received = exchange(service.port, post + b"GET /nowhere HTTP/1.1\r\nHo", b"st: x\r\n\r\n" + post + LAST)
    assert statuses(received) == [200, 404, 200, 200]


def test_bad_after_known(service: Service) -> None:
    """A request whose head was read before is answered before what is wrong behind it."""
    post = request(SIGILS, method="POST", body=b'{"data":{}}', token=service.token("bad-after-known"))
    with connected(service.port) as connection:
        for _ in range(3):
            connection.sendall(post)
            assert statuses(read_answer(connection)) == [201]
        connection.sendall(post)
        connection.sendall(b"nonsense\r\n\r\n")
        assert statuses(read_to_end(connection)) == [201, 400]


def test_a_thousand_pipelined(service: Service) -> None:
    """However many requests come before the first is answered, they get their answers in order."""
    many = [request("/healthz", f"X-Request-Id: {number}") for number in range(1000)]
    received = exchange(service.port, b"".join(many) + LAST)
    ids = re.findall(rb"x-request-id: (\d+)\r", received)
    assert ids[:1000] == [b"%d" % number for number in range(1000)]
    assert statuses(received) == [200] * 1001


@pytest.mark.unsanitized
def test_pipeline_without_a_reader(service: Service) -> None:
    """Whoever sends requests without end, and reads no answer, is held back: nothing piles up."""
    many = request("/openapi.json") * 2000
    before = resident(service.pid)
    with connected(service.port) as connection:
        connection.settimeout(1.0)  # nothing moves for so long: it is held back
        with pytest.raises(TimeoutError):
            flood(connection, many)
        assert service.call("GET", "/healthz").status == 200
        assert resident(service.pid) - before < 16 << 20
