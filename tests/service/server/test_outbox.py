"""Answers that leave together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.http.context import Context
from app.http.guard import Guard
from app.http.prompt import PromptAnswer
from app.server.connections import ConnectionLimits, Connections
from app.server.outbox import Outbox
from app.server.protocol import BoundedProtocol

_PATIENCE = 20.0
_REQUEST = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class _Sender:
    def __init__(self, written: list[str], name: str) -> None:
        self._written = written
        self._name = name

    def write_out(self) -> None:
        """Note it."""
        self._written.append(self._name)


class _Clock:
    """A steady clock that stands still until it is set."""

    now = 100.0

    def monotonic(self) -> float:
        """What it shows."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """The clock of outboxes."""
    clock = _Clock()
    monkeypatch.setattr("app.server.outbox.time", clock)
    return clock


@pytest.mark.usefixtures("clock")
async def test_the_end_of_a_turn() -> None:
    """What is put into it waits, and leaves in its order before anything else that is asked of the loop."""
    loop, outbox, written = asyncio.get_running_loop(), Outbox(), list[str]()
    for name in ("first", "second"):
        outbox.put(_Sender(written, name), loop)
        loop.call_soon(written.append, f"after {name}")
    assert not written
    await asyncio.sleep(0)
    assert written == ["first", "second", "after first", "after second"]
    outbox.put(_Sender(written, "third"), loop)
    await asyncio.sleep(0)
    assert written[4:] == ["third"]


async def test_patience(clock: _Clock) -> None:
    """The first need not wait for others that take their time."""
    loop, outbox, written = asyncio.get_running_loop(), Outbox(), list[str]()
    outbox.put(_Sender(written, "first"), loop)
    outbox.put(_Sender(written, "second"), loop)
    clock.now += 0.001
    outbox.put(_Sender(written, "third"), loop)
    assert written == ["first", "second", "third"]
    outbox.put(_Sender(written, "fourth"), loop)
    await asyncio.sleep(0)
    assert written[3:] == ["fourth"]


class _Handler:
    """Answers at once."""

    def takes(self, context: Context) -> bool:
        """See PromptHandler."""
        return True

    async def answer(self, context: Context, body: bytes) -> PromptAnswer:
        """See PromptHandler."""
        return PromptAnswer(200, b"x-way: prompt\r\n", body)


async def _usual(scope: Any, receive: Any, send: Any) -> None:
    """An application that is asked while a head is not known."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


class _Served(NamedTuple):
    """A server that has room for two connections.

    Attributes:
        protocols: of the connections that were made, in their order.
    """

    port: int
    protocols: list[BoundedProtocol]


@pytest.fixture
async def served() -> AsyncIterator[_Served]:
    """A server on this test's loop."""
    guard = Guard(_usual, max_body_bytes=100, prompt_handlers={("POST", "/x"): _Handler()})
    config = uvicorn.Config(guard, log_config=None, ws="none", proxy_headers=False)
    config.load()
    connections, state = Connections(ConnectionLimits(2, 60, 60, 60, 60)), ServerState()
    protocols: list[BoundedProtocol] = []

    def made() -> BoundedProtocol:
        protocols.append(BoundedProtocol(connections, config, state, {}))
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    async with server:
        yield _Served(server.sockets[0].getsockname()[1], protocols)


async def _learned(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose requests are answered without a task from now on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(_REQUEST)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n{}"), _PATIENCE)
    assert b"x-way: prompt" in answer
    return reader, writer


async def test_clients_that_say_no_more(served: _Served) -> None:
    """Whoever closes its side behind a request is answered before the other side is closed."""
    reader, writer = await _learned(served.port)
    writer.write(_REQUEST)
    writer.write_eof()
    assert (await asyncio.wait_for(reader.read(), _PATIENCE)).count(b"x-way: prompt") == 1
    writer.close()


async def test_what_is_wrong_behind_a_request(served: _Served) -> None:
    """An answer that waits is written before the refusal of what follows it."""
    reader, writer = await _learned(served.port)
    # As if the one had come, and then the other, within a turn of the loop.
    served.protocols[0].data_received(_REQUEST)
    served.protocols[0].data_received(b"nonsense\r\n\r\n")
    received = await asyncio.wait_for(reader.read(), _PATIENCE)
    assert received.index(b"x-way: prompt") < received.index(b" 400 ")
    writer.close()


async def test_room_for_another(served: _Served) -> None:
    """A connection that loses its place to a new one has its answer before."""
    held = [await _learned(served.port) for _ in range(2)]
    for protocol in served.protocols:
        protocol.data_received(_REQUEST)
        protocol.hang_up()
    for reader, writer in held:
        assert (await asyncio.wait_for(reader.read(), _PATIENCE)).count(b"x-way: prompt") == 1
        writer.close()


async def test_connections_that_break(served: _Served) -> None:
    """What waits for a client that has gone is dropped, and harms nobody."""
    (_, gone), (reader, writer) = [await _learned(served.port) for _ in range(2)]
    for protocol in served.protocols:
        protocol.data_received(_REQUEST)
    served.protocols[0].abort()
    assert b"x-way: prompt" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n{}"), _PATIENCE)
    gone.close()
    writer.close()
