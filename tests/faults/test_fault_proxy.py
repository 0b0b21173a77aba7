"""The fault proxy before a plain echo server: each fault does what it says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from servers.fault_proxy import NO_FAULT, Fault, FaultProxy, Flow, proxy_to

#: Seconds in which nothing comes where nothing may come.
SILENCE = 0.1


class Echo(threading.Thread):
    """Sends back what it gets, to several clients at a time, and remembers it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.heard: list[bytearray] = []
        #: How each connection ended: by a FIN, or by an error of this class.
        self.ends: list[str] = []

    def run(self) -> None:
        """Serve until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.heard.append(bytearray())
                threading.Thread(target=self.serve, args=(client, self.heard[-1]), daemon=True).start()

    def serve(self, client: socket.socket, heard: bytearray) -> None:
        """Echo until the end."""
        end = "FIN"
        with client:
            try:
                while data := client.recv(1 << 16):
                    heard += data
                    client.sendall(data)
            except OSError as error:
                end = type(error).__name__
        self.ends.append(end)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """An echo server."""
    server = Echo()
    server.start()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()
    server.join(20)


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    """A proxy before it."""
    with proxy_to(echo.port, seed=7) as running:
        yield running


@contextlib.contextmanager
def connected(proxy: FaultProxy) -> Iterator[socket.socket]:
    """A connection through the proxy."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
        yield client


def received(client: socket.socket, count: int) -> bytes:
    """So many bytes, or what there is before the end."""
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def assert_silent(client: socket.socket) -> None:
    """Nothing comes, not even an end."""
    client.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(20)


def assert_refused(proxy: FaultProxy) -> None:
    """A new connection is reset, at once or just after it was made."""
    with pytest.raises(ConnectionResetError), connected(proxy) as client:
        client.recv(1)


def until(echo: Echo, ends: int) -> None:
    """Wait for so many connections of the server to end."""
    deadline = time.monotonic() + 20
    while len(echo.ends) < ends:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_without_faults(echo: Echo, proxy: FaultProxy) -> None:
    """Everything passes in both directions, large and at once, and ends pass as ends."""
    data = bytes(range(256)) * 4096
    with connected(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert received(client, len(data)) == data
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    until(echo, 1)
    assert echo.ends == ["FIN"]
    assert proxy.counts == {"forward": 1, "up": len(data), "down": len(data)}


def test_delay_and_throttle(proxy: FaultProxy) -> None:
    """Bytes come late, or slowly; once that is over, what waits comes at once."""
    with connected(proxy) as client:
        proxy.set(Fault(up=Flow(delay=0.1)))
        begin = time.monotonic()
        client.sendall(b"late")
        assert received(client, 4) == b"late"
        assert time.monotonic() - begin >= 0.1
        proxy.set(Fault(down=Flow(rate=10_000)))
        begin = time.monotonic()
        client.sendall(bytes(1_500))
        assert received(client, 1_500) == bytes(1_500)
        assert time.monotonic() - begin >= 0.1
        proxy.set(Fault(down=Flow(delay=3600)))
        client.sendall(b"much later")
        assert_silent(client)
        proxy.heal()
        assert received(client, 10) == b"much later"


@pytest.mark.parametrize(
    "fault", [Fault(up=Flow(event="stall", after=3)), Fault(down=Flow(event="stall", after=3))]
)
def test_stall(proxy: FaultProxy, fault: Fault) -> None:
    """Behind so many bytes nothing comes, and all of it once the fault is gone."""
    with connected(proxy) as client:
        proxy.set(fault)
        client.sendall(b"abcdef")
        assert received(client, 3) == b"abc"
        assert_silent(client)
        proxy.heal()
        assert received(client, 3) == b"def"
    assert proxy.counts["stall"] == 1


def test_reset(echo: Echo, proxy: FaultProxy) -> None:
    """Behind so many bytes both sides get a RST."""
    with connected(proxy) as client:
        proxy.set(Fault(down=Flow(event="reset", after=3)))
        client.sendall(b"abc")
        assert received(client, 3) == b"abc"
        client.sendall(b"d")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until(echo, 1)
    assert echo.ends == ["ConnectionResetError"]
    assert bytes(echo.heard[0]) == b"abcd"


def test_truncate(proxy: FaultProxy) -> None:
    """The client gets so many bytes of the answer, and then its end."""
    proxy.set(Fault(down=Flow(event="truncate", after=3)))
    with connected(proxy) as client:
        client.sendall(b"abcdef")
        assert received(client, 100) == b"abc"


def test_half_close(echo: Echo, proxy: FaultProxy) -> None:
    """The server is told that no more comes; its answers still pass."""
    proxy.set(Fault(up=Flow(event="half_close", after=3)))
    with connected(proxy) as client:
        client.sendall(b"abcdef")
        assert received(client, 100) == b"abc"
    until(echo, 1)
    assert echo.ends == ["FIN"]
    assert bytes(echo.heard[0]) == b"abc"


def test_half_open(echo: Echo, proxy: FaultProxy) -> None:
    """The server is gone and the client is not told, until it is reset."""
    proxy.set(Fault(down=Flow(event="half_open", after=3)))
    with connected(proxy) as client:
        client.sendall(b"abcdef")
        assert received(client, 3) == b"abc"
        until(echo, 1)
        client.sendall(b"anybody there?")
        assert_silent(client)
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_garble(proxy: FaultProxy) -> None:
    """Behind so many bytes others come than were sent, and the same ones with the same seed."""
    seen = []
    for _ in range(2):
        with proxy_to(proxy.target, seed=11) as other, connected(other) as client:
            other.set(Fault(up=Flow(event="garble", after=3)))
            client.sendall(b"abcdefgh")
            client.shutdown(socket.SHUT_WR)
            seen.append(received(client, 1000))
    assert seen[0] == seen[1]
    assert seen[0][:3] == b"abc"
    assert seen[0] != b"abcdefgh"


def test_welcomes(echo: Echo, proxy: FaultProxy) -> None:
    """The next connections are swallowed, doubled and reset, one after the other; the fourth is served."""
    proxy.set_for_new(Fault("black_hole"), Fault("twice"), Fault("reset"))
    with connected(proxy) as swallowed, connected(proxy) as doubled:
        swallowed.sendall(b"a")
        assert_silent(swallowed)
        assert_refused(proxy)
        with connected(proxy) as served:
            doubled.sendall(b"b")
            assert received(doubled, 1) == b"b"
            assert_silent(doubled)
            served.sendall(b"c")
            assert received(served, 1) == b"c"
    until(echo, 3)
    assert sorted(map(bytes, echo.heard)) == [b"b", b"b", b"c"]
    assert echo.ends == ["FIN"] * 3


def test_refuse(proxy: FaultProxy) -> None:
    """Nobody can connect for a while, those who are connected stay, and the port is the same afterwards."""
    with connected(proxy) as client:
        for _ in range(3):
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
            proxy.listen()
        client.sendall(b"a")
        assert received(client, 1) == b"a"
        with connected(proxy) as other:
            other.sendall(b"b")
            assert received(other, 1) == b"b"


def test_a_server_that_is_gone(proxy: FaultProxy) -> None:
    """Where the server does not listen, clients are reset; at its new port it is found."""
    port, proxy.target = proxy.target, 1
    assert_refused(proxy)
    proxy.target = port
    with connected(proxy) as client:
        client.sendall(b"a")
        assert received(client, 1) == b"a"
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            client.recv(1)


async def test_beside_an_event_loop(proxy: FaultProxy) -> None:
    """It serves the caller's own event loop, with a fault drawn for each connection."""
    faults = [NO_FAULT, Fault("reset")]
    proxy.draw_for_new(lambda: faults.pop(0))
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"a")
    assert await reader.read(1) == b"a"
    assert proxy.present == 1
    await asyncio.to_thread(assert_refused, proxy)
    writer.close()
    await writer.wait_closed()
