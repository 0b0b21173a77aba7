"""Clients that are slow on purpose: to ask, to send, to read, to go. All of them are slow at once."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service.metrics.test_metrics import eventually
from tests.service.metrics.test_service_metrics import of, samples
from tests.service.running import SIGILS, Service
from tests.service.server.wire import LAST, PATIENCE, connected, exchange, read_to_end, request, statuses

#: More than the system buffers between the service and a client.
_LARGE = 12 << 20
#: Of a batch whose answers are as much.
_LINES = 30_000
_SLOW = {
    "SIGIL_HEAD_TIMEOUT": "1",
    "SIGIL_KEEP_ALIVE": "1",
    "SIGIL_BODY_TIMEOUT": "1",
    "SIGIL_WRITE_TIMEOUT": "1",
    "SIGIL_MAX_BODY_BYTES": str(_LARGE + 1000),
}


def silence(service: Service) -> bytes:
    """Say nothing at all."""
    with connected(service.port) as connection:
        return read_to_end(connection)


def silence_after_an_answer(service: Service) -> bytes:
    """Keep the connection, and say no more."""
    return exchange(service.port, request("/healthz"))


def drip(service: Service, beginning: bytes, drop: bytes) -> bytes:
    """Send the beginning, then a drop ten times a second."""
    received = bytearray()
    with connected(service.port) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(beginning)
        connection.settimeout(0.1)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                if not (piece := connection.recv(1 << 16)):
                    return bytes(received)
                received += piece
            connection.sendall(drop)
    assert time.monotonic() < end, "nobody minds"
    return bytes(received)


def dripping_head(service: Service) -> bytes:
    """Send a head without end, slowly."""
    return drip(service, b"GET /", b"a")


def dripping_second_head(service: Service) -> bytes:
    """Send a request, then a head without end."""
    return drip(service, request("/healthz") + b"GET / HTTP/1.1\r\nX: ", b"a")


def dripping_body(service: Service) -> bytes:
    """Send a body slowly."""
    whole = request(SIGILS, method="POST", body=b" " * 10_000, token=service.token())
    return drip(service, whole[:-9000], b" ")


def missing_body(service: Service) -> bytes:
    """Announce a body and send nothing of it."""
    whole = request(SIGILS, method="POST", body=b" " * 10_000, token=service.token())
    return exchange(service.port, whole[:-10_000])


def body_after_the_answer(service: Service) -> bytes:
    """Go on with a body whose request has been refused already."""
    head = f"POST {SIGILS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return drip(service, head.encode(), b"4000\r\n" + b"a" * 0x4000 + b"\r\n")


def read_large(service: Service, size: int, pause: float, *headers: str, after: float = 0) -> bytes | None:
    """Ask for a large answer and read it piecemeal; None when the connection was broken off."""
    token = service.token("large")
    record_id = service.call("GET", f"{SIGILS}?limit=1", token=token).json["sigils"][0]["id"]
    with socket.socket() as connection:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(request(f"{SIGILS}/{record_id}", *headers, token=token))
        received = bytearray(connection.recv(1))
        time.sleep(after)
        end = time.monotonic() + PATIENCE
        # What has reached this side can be read although the connection was broken off behind it.
        with contextlib.suppress(ConnectionResetError):
            while time.monotonic() < end:
                if not (piece := connection.recv(size)):
                    return bytes(received)
                received += piece
                time.sleep(pause)
        assert time.monotonic() < end
        return None


def reader_that_stops(service: Service) -> bytes | None:
    """Take the beginning of an answer, and nothing for longer than is allowed."""
    return read_large(service, 1 << 16, 0, after=4)


def trickling_reader(service: Service) -> bytes | None:
    """Read on and on, but hardly anything."""
    return read_large(service, 1000, 0.1)


def stream_that_nobody_reads(service: Service) -> bytes | None:
    """Ask for an answer that is made as it is read, and read nothing of it; None when that was ended."""
    body = b'{"data":{}}\n' * _LINES
    head = ["Content-Type: application/x-ndjson", f"Content-Length: {len(body)}"]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        connection.connect(("127.0.0.1", service.port))
        connection.sendall(
            request(f"{SIGILS}/batch?stream=true", *head, method="POST", token=service.token())
        )
        connection.sendall(body)
        watched = select.poll()
        watched.register(connection, 0)  # heard of all the same: that it is broken
        return None if watched.poll(PATIENCE * 1000) else b""


def unhurried_reader(service: Service) -> bytes | None:
    """Read slowly, but read."""
    return read_large(service, 1 << 16, 0.003, "Connection: close")


def unhurried_reader_that_stays(service: Service) -> bytes | None:
    """Read slowly, and keep the connection: longer than it may be silent between requests."""
    return read_large(service, 1 << 16, 0.003)


KINDS: list[Callable[[Service], bytes | None]] = [
    silence,
    silence_after_an_answer,
    dripping_head,
    dripping_second_head,
    dripping_body,
    missing_body,
    body_after_the_answer,
    reader_that_stops,
    trickling_reader,
    stream_that_nobody_reads,
    unhurried_reader,
    unhurried_reader_that_stays,
]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that waits for nobody for longer than a second."""
    service = Service(tmp_path_factory.mktemp("slow"), **_SLOW).start()
    yield service
    assert statuses(exchange(service.port, LAST)) == [200]
    assert not service.logged("request failed")
    service.kill()


@pytest.fixture(scope="module")
def said(hasty: Service) -> dict[str, bytes | None]:
    """What the service said to each kind of client, until it closed the connection."""
    hasty.encode({"a": "b" * _LARGE}, token=hasty.token("large"))
    with ThreadPoolExecutor(len(KINDS)) as threads:
        futures = {kind.__name__: threads.submit(kind, hasty) for kind in KINDS}
        return {name: future.result() for name, future in futures.items()}


def test_silence(said: dict[str, bytes | None]) -> None:
    """A connection without a request is closed, without a word."""
    assert said["silence"] == b""
    assert statuses(said["silence_after_an_answer"] or b"") == [200]


def test_head_that_does_not_end(said: dict[str, bytes | None]) -> None:
    """A head has its time, however steadily it drips, also that of a second request."""
    assert said["dripping_head"] == b""
    assert statuses(said["dripping_second_head"] or b"") == [200]


@pytest.mark.parametrize("kind", ["dripping_body", "missing_body"])
def test_body_that_does_not_end(said: dict[str, bytes | None], kind: str) -> None:
    """A body that does not arrive in time is answered with 408, and the connection closed."""
    answer = said[kind] or b""
    assert statuses(answer) == [408]
    assert b"connection: close" in answer
    assert b'"code":"body_timeout"' in answer


def test_body_after_the_answer(said: dict[str, bytes | None]) -> None:
    """The body of a request that was refused is read on for a while, and not for ever."""
    assert statuses(said["body_after_the_answer"] or b"") == [401]


UNREAD = ["reader_that_stops", "trickling_reader", "stream_that_nobody_reads"]


@pytest.mark.parametrize("kind", UNREAD)
def test_reader_that_does_not_read(said: dict[str, bytes | None], kind: str) -> None:
    """Who does not take the answer loses the connection, and what the system buffered for it."""
    assert said[kind] is None


@pytest.mark.usefixtures("said")
def test_readers_that_do_not_read_are_told_of(hasty: Service) -> None:
    """Each is counted, and the log tells how many there were."""
    eventually(lambda: of(samples(hasty), "sigil_overload_total", reason="answers") == len(UNREAD))
    assert hasty.logged("answers cut off")[0]["cut_off_so_far"] == 1


@pytest.mark.parametrize("kind", ["unhurried_reader", "unhurried_reader_that_stays"])
def test_unhurried_reader(said: dict[str, bytes | None], kind: str) -> None:
    """Who takes the answer slowly gets all of it."""
    assert len(said[kind] or b"") > _LARGE
