"""What has not come to the end of its handshake is bounded; what holds the listener up passes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import ParamSpec

import pytest
import uvloop

from app.server.accepting import Acceptor
from app.server.listening import listen
from core.tls import Identity, ServerFiles, server_context
from tests.service.server.tls_files import Authority, client

_P = ParamSpec("_P")


class Greeter(asyncio.Protocol):
    """Says hello and hangs up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection whose handshake is done."""
        transport.write(b"hello")
        transport.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who issues the listener's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


def in_the_services_loop(test: Callable[_P, Awaitable[None]]) -> Callable[_P, None]:
    """Run a test in the event loop that the service uses."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        async def whole() -> None:
            await test(*args, **kwargs)

        uvloop.run(whole())

    return run


@contextlib.asynccontextmanager
async def listening(
    authority: Authority, *, handshake_seconds: float = 60, most_handshakes: int = 10
) -> AsyncIterator[tuple[int, Acceptor]]:
    """A listener and its port."""
    context = server_context(ServerFiles(Identity(*authority.issue("greeter"))))
    with listen("127.0.0.1", 0) as accepting:
        listener = Acceptor(
            accepting,
            Greeter,
            lambda: False,
            tls=lambda: context,
            handshake_seconds=handshake_seconds,
            most_connecting=most_handshakes,
        )
        try:
            yield accepting.getsockname()[1], listener
        finally:
            listener.close()
            await listener.wait_closed()


async def greeting(port: int, context: ssl.SSLContext) -> bytes:
    """What a client hears that shakes hands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.fixture
def stall() -> Iterator[Callable[[int], socket.socket]]:
    """Makes connections that say nothing."""
    with contextlib.ExitStack() as stack:

        def connect(port: int) -> socket.socket:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setblocking(False)
            return connection

        yield connect


async def gone(connection: socket.socket) -> None:
    """Wait until the other side has given the connection up."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(30):
            assert await asyncio.get_running_loop().sock_recv(connection, 1) == b""


@in_the_services_loop
async def test_handshakes_end_in_time(authority: Authority, stall: Callable[[int], socket.socket]) -> None:
    """A handshake that does not come to its end is given up; others are not held up meanwhile."""
    async with listening(authority, handshake_seconds=0.3) as (port, _):
        connections = [stall(port) for _ in range(3)]
        assert await greeting(port, client(authority)) == b"hello"
        for connection in connections:
            await gone(connection)


@in_the_services_loop
async def test_the_oldest_handshake_goes_first(
    authority: Authority, stall: Callable[[int], socket.socket]
) -> None:
    """When too many handshakes are going on, the oldest is given up for the newest."""
    async with listening(authority, most_handshakes=3) as (port, _):
        connections = [stall(port) for _ in range(3)]
        assert await greeting(port, client(authority)) == b"hello"
        await gone(connections[0])
        for connection in connections[1:]:
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        for _ in range(50):
            stall(port)
        assert await greeting(port, client(authority)) == b"hello"


@in_the_services_loop
async def test_a_close_gives_handshakes_up(
    authority: Authority, stall: Callable[[int], socket.socket]
) -> None:
    """Closing waits for no handshake."""
    async with listening(authority) as (port, listener):
        connection = stall(port)
        assert await greeting(port, client(authority)) == b"hello"  # so the other has been accepted
        listener.close()
        await listener.wait_closed()
        await gone(connection)


@in_the_services_loop
async def test_no_descriptor_left(authority: Authority) -> None:
    """Where nothing more can be opened connections wait, and are served when there is room again."""
    async with listening(authority, most_handshakes=1000) as (port, _):
        waiting = socket.create_connection(("127.0.0.1", port))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = waiting.fileno()
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, limits[1]))
        try:
            await asyncio.sleep(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        waiting.close()
        assert await greeting(port, client(authority)) == b"hello"


@in_the_services_loop
async def test_contexts_change(authority: Authority, tmp_path: Path) -> None:
    """A connection gets the context that holds when it begins."""
    other = Authority(tmp_path)
    contexts = [server_context(ServerFiles(Identity(*one.issue("x")))) for one in (authority, other)]
    with listen("127.0.0.1", 0) as accepting:
        listener = Acceptor(accepting, Greeter, lambda: False, tls=lambda: contexts[0])
        port = accepting.getsockname()[1]
        assert await greeting(port, client(authority)) == b"hello"
        contexts.reverse()
        assert await greeting(port, client(other)) == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError):
            await greeting(port, client(authority))
        listener.close()
        await listener.wait_closed()
