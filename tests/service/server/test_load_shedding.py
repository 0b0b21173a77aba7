"""More requests than may be in progress, and requests that take too long."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.service.running import SIGILS, Service
from tests.service.server.wire import (
    LAST,
    connected,
    exchange,
    read_answer,
    read_to_end,
    request,
    statuses,
    wait_until_broken,
)

BODY = b'{"data":{}}'


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes two requests at once."""
    service = Service(tmp_path_factory.mktemp("small"), SIGIL_MAX_REQUESTS="2").start()
    yield service
    service.kill()


@contextlib.contextmanager
def in_progress(service: Service, count: int) -> Iterator[list[socket.socket]]:
    """Requests whose bodies the service waits for."""
    head = request(SIGILS, "Expect: 100-continue", method="POST", body=BODY, token=service.token())
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(service.port)) for _ in range(count)]
        for connection in connections:
            connection.sendall(head.removesuffix(BODY))
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        yield connections


def test_overloaded(small: Service) -> None:
    """One request too many is refused at once, whoever sends it; those in progress are not disturbed."""
    with in_progress(small, 2) as connections:
        for token in (small.token(), "nonsense", None):
            refused = small.call("POST", SIGILS, {"data": {}}, token=token)
            assert (refused.status, refused.json["code"]) == (503, "overloaded")
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["x-request-id"] == refused.json["request_id"]
        for connection in connections:
            connection.sendall(BODY)
            assert statuses(read_answer(connection)) == [201]
    assert small.call("POST", SIGILS, {"data": {}}, token=small.token()).status == 201


def test_probes_while_overloaded(small: Service) -> None:
    """Health and readiness are answered however many requests are in progress."""
    with in_progress(small, 2):
        assert small.call("GET", "/healthz").status == 200
        assert small.call("GET", "/readyz").status == 200
        assert small.call("GET", "/openapi.json").status == 503


def test_body_of_a_refused_request(small: Service) -> None:
    """What a refused request still sends is skipped: the next one on its connection begins where it ends."""
    hidden = request("/hidden")
    post = request(SIGILS, method="POST", body=hidden * 10_000, token=small.token())
    with in_progress(small, 2):
        assert statuses(exchange(small.port, post + LAST)) == [503, 200]


def test_unread_answers_take_no_room(new_service: Callable[..., Service]) -> None:
    """Clients that ask on and on for large pages and read none have no requests in progress."""
    small = new_service(SIGIL_MAX_REQUESTS="2").start()
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
            connection.connect(("127.0.0.1", small.port))
            connection.sendall(request("/docs/swagger-ui.js") * 20)
            assert connection.recv(12) == b"HTTP/1.1 200"
        for _ in range(5):
            assert statuses(exchange(small.port, request(SIGILS, "Connection: close"))) == [401]


def test_overload_is_logged_once(new_service: Callable[..., Service]) -> None:
    """A burst of refused requests leaves one line, which counts them."""
    service = new_service(SIGIL_MAX_REQUESTS="1").start()
    with in_progress(service, 1):
        assert statuses(exchange(service.port, request(SIGILS) * 50 + LAST)) == [503] * 50 + [200]
    assert [line["refused_so_far"] for line in service.logged("overloaded")] == [1]
    assert not service.logged("request failed")


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose requests have one second."""
    folder = tmp_path_factory.mktemp("hurried")
    variables = {
        "SIGIL_REQUEST_TIMEOUT": "1",
        "SIGIL_WRITE_TIMEOUT": "2",
        "SIGIL_MAX_BODY_BYTES": str(16 << 20),
    }
    service = Service(folder, **variables).start()
    yield service
    service.kill()


def test_deadline(hurried: Service) -> None:
    """A request that takes too long is answered with 503, and the service goes on."""
    with in_progress(hurried, 1) as (connection,):
        answer = read_answer(connection)
        assert statuses(answer) == [503]
        assert b'"code":"timeout"' in answer
        assert b"retry-after: " in answer
        connection.sendall(BODY + LAST)
        assert statuses(read_to_end(connection)) == [200]
    assert [line["code"] for line in hurried.logged("request failed")] == ["timeout"]
    assert hurried.call("POST", SIGILS, {"data": {}}, token=hurried.token()).status == 201


def test_answer_that_is_not_read(hurried: Service) -> None:
    """Where an answer is not read the connection is broken off; the request behind it was never begun."""
    token = hurried.token("large")
    large = {"data": {"a": "b" * (12 << 20)}}
    # On a busy machine the second may be over too soon.
    kept = (hurried.call("POST", SIGILS, large, token=token) for _ in range(60))
    record = next(answer.json for answer in kept if answer.status == 201)
    with connected(hurried.port) as connection:
        connection.sendall(request(f"{SIGILS}/{record['id']}", token=token) * 2)
        wait_until_broken(connection)
        assert statuses(read_to_end(connection)) == [200]
    assert hurried.call("GET", "/healthz").status == 200
    assert not [line for line in hurried.logged("request failed") if "exception" in line]
