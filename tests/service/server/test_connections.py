"""Many connections: more than may be, more than there are descriptors for, and their memory."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import select
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.heavy import HEAVY
from tests.service.running import SIGILS, Service
from tests.service.server.tls_files import Authority, client, variables
from tests.service.server.wire import (
    LAST,
    PATIENCE,
    connected,
    exchange,
    read_answer,
    read_to_end,
    request,
    resident,
    statuses,
)

MANY = 10_000 if HEAVY else 1_500
WAVES = 3 if HEAVY else 1
#: What allocators may keep of the first wave, and what may be added by those after it.
KEPT, ADDED = 48 << 20, 12 << 20
_RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that holds ten connections."""
    service = Service(tmp_path_factory.mktemp("narrow"), SIGIL_MAX_CONNECTIONS="10").start()
    yield service
    service.kill()


def answered(connection: socket.socket) -> bool:
    """Whether a request on this connection is answered."""
    try:
        connection.sendall(request("/healthz", method="HEAD"))
        return statuses(connection.recv(4096)) == [200]
    except ConnectionError:
        return False


def descriptors(service: Service) -> int:
    """How many files and connections the service has open."""
    return len(list(Path(f"/proc/{service.pid}/fd").iterdir()))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that is sure to come."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_oldest_idle_connection_makes_room(narrow: Service) -> None:
    """When all places are taken, a new connection gets the place of the one that is idle longest."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(narrow.port)) for _ in range(10)]
        assert all(answered(connection) for connection in held)
        assert answered(held[0])  # now it is no longer the oldest
        later = [stack.enter_context(connected(narrow.port)) for _ in range(3)]
        assert all(answered(connection) for connection in later)
        assert [read_to_end(connection) for connection in held[1:4]] == [b""] * 3
        assert all(answered(connection) for connection in [held[0], *held[4:]])


def test_half_a_head_keeps_no_place(narrow: Service) -> None:
    """A connection whose request has only begun is idle as well."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(narrow.port)) for _ in range(10)]
        for connection in held:
            connection.sendall(b"GET /heal")
        assert statuses(exchange(narrow.port, LAST)) == [200]
        gone, _, _ = select.select(held, [], [], 5)  # sooner than the head's time is over
        assert {read_to_end(connection) for connection in gone} == {b""}


def test_no_place_but_for_the_busy(narrow: Service) -> None:
    """Requests in progress lose their places to nobody; who comes too much is told so and turned away."""
    body = b'{"data":{}}'
    post = request(SIGILS, "Expect: 100-continue", method="POST", body=body, token=narrow.token())
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(connected(narrow.port)) for _ in range(10)]
        for connection in busy:
            connection.sendall(post.removesuffix(body))
            assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        with connected(narrow.port) as connection:
            refused = read_to_end(connection)
        assert statuses(refused) == [503]
        assert b"retry-after: 1\r\n" in refused
        for connection in busy:
            connection.sendall(body)
            assert statuses(read_answer(connection)) == [201]
        assert statuses(exchange(narrow.port, LAST)) == [200]


def test_flood_of_idle_connections(narrow: Service) -> None:
    """While somebody opens and holds connections without end, requests are answered."""
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            for _ in range(10):
                stack.enter_context(connected(narrow.port))
            assert narrow.call("GET", "/healthz").status == 200
        assert descriptors(narrow) < 10 + 50


def test_no_descriptors(new_service: Callable[..., Service]) -> None:
    """Short of descriptors the service gives up idle connections; later everything works as before."""
    service = new_service().start()
    assert service.call("GET", "/healthz").status == 200  # it has everything open that it needs
    unlimited = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (descriptors(service) + 5, unlimited[1]))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(service.port)) for _ in range(30)]
        assert service.call("GET", "/healthz").status == 200
        assert answered(held[-1])
        assert service.logged("cannot accept connections")
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, unlimited)
    assert service.call("POST", SIGILS, {"data": {}}, token=service.token()).status == 201


def test_no_descriptors_at_all(new_service: Callable[..., Service]) -> None:
    """Without a single descriptor to accept with, the service waits, and does not burn a processor."""
    service = new_service().start()
    assert service.call("GET", "/healthz").status == 200
    unlimited = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, unlimited[1]))
    with connected(service.port) as connection:
        wait_until(lambda: bool(service.logged("cannot accept connections")))
        before = _cpu_ticks(service.pid)
        time.sleep(0.5)
        assert _cpu_ticks(service.pid) - before < 0.4 * os.sysconf("SC_CLK_TCK")
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, unlimited)
        assert answered(connection)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def probe(port: int, pipe: Connection) -> None:
    """Ask for the service's health on a new connection, again and again, until told to stop."""
    seconds: list[float] = []
    failures: list[str] = []
    pipe.send(exchange(port, LAST))
    while not seconds or not pipe.poll(0.002):
        begun = time.perf_counter()
        try:
            received = exchange(port, LAST)
        except OSError as error:
            failures.append(repr(error))
            continue
        seconds.append(time.perf_counter() - begun)
        if statuses(received) != [200]:
            failures.append(repr(received))
    pipe.send((seconds, failures))


@contextlib.contextmanager
def probing(service: Service) -> Iterator[tuple[list[float], list[str]]]:
    """Another process probes meanwhile; afterwards there are its times, in seconds, and what went wrong."""
    seconds: list[float] = []
    failures: list[str] = []
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("forkserver").Process(target=probe, args=(service.port, theirs))
    process.start()
    assert statuses(ours.recv()) == [200]  # it has begun
    try:
        yield seconds, failures
    finally:
        ours.send(None)
        found = ours.recv()
        process.join()
        seconds += found[0]
        failures += found[1]


def wave(service: Service, count: int) -> None:
    """Open many connections, hold them all: silent, with half a head, or used once; and drop them."""
    base = descriptors(service)
    held = []
    for number in range(count):
        connection = connected(service.port)
        held.append(connection)
        if number % 3:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"\r\n" * (number % 3 - 1))
    wait_until(lambda: descriptors(service) >= base + count)
    assert [service.call("GET", "/healthz").status for _ in range(20)] == [200] * 20
    for number, connection in enumerate(held):
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()
    wait_until(lambda: descriptors(service) <= base + 5)


@pytest.mark.unsanitized
def test_many_connections(new_service: Callable[..., Service]) -> None:
    """Thousands of connections, opened, held and dropped, neither silence the service nor stay in memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard > MANY + 500, "ulimit -Hn is too low for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    service = new_service(SIGIL_HEAD_TIMEOUT="60").start()
    fresh = resident(service.pid)
    try:
        wave(service, MANY)
        wait_until(lambda: resident(service.pid) - fresh < KEPT)
        before = resident(service.pid)
        with probing(service) as (seconds, failures):
            for _ in range(WAVES):
                wave(service, MANY)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: resident(service.pid) - before < ADDED)
    after = resident(service.pid)
    ms = sorted(1000 * second for second in seconds)
    print(
        f"{WAVES} waves of {MANY}: resident {fresh >> 10} KiB fresh, {before >> 10} after the first, "
        f"{after >> 10} after all; /healthz {len(ms)} times, median "
        f"{statistics.median(ms):.1f} ms, p99 {ms[len(ms) * 99 // 100]:.1f} ms, "
        f"most {ms[-1]:.1f} ms"
    )
    assert not failures
    assert not service.logged("cannot accept connections")


@pytest.mark.parametrize("encrypted", [False, True])
def test_unread_answers(new_service: Callable[..., Service], tmp_path: Path, encrypted: bool) -> None:
    """Clients that have large pages sent and read none take a bounded part of memory, and give it back."""
    service = new_service(SIGIL_WRITE_TIMEOUT="1")
    if encrypted:
        authority = Authority(tmp_path)
        service.variables.update(variables(authority.issue("service")))
        service.tls = client(authority)
    service.start()
    assert service.call("GET", "/docs/swagger-ui.js").status == 200
    count = 400 if HEAVY else 50
    before, pages = resident(service.pid), count * len(service.call("GET", "/docs/swagger-ui.js").body)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", service.port))
            if service.tls is not None:
                connection = stack.enter_context(
                    service.tls.wrap_socket(connection, server_hostname="127.0.0.1")
                )
            connection.sendall(request("/docs/swagger-ui.js") * 2)
            assert connection.recv(12) == b"HTTP/1.1 200"
        # What is encrypted is each connection's own, and the next answer as well.
        assert resident(service.pid) - before < (4 * min(pages, 256 << 20) if encrypted else pages // 2)
        wait_until(lambda: resident(service.pid) - before < KEPT)
