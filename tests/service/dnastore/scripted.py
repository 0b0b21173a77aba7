"""A DNAStore that answers what a test tells it, in raw HTTP over mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from core.dnastore.client import DnaStoreClient
from core.dnastore.wire import Line, WireRecord, WriteReply, WriteRequest, WriteResult
from core.records import Record
from core.store.observation import StoreObserver
from core.tls import ClientFiles, Identity, ServerFiles, client_context, server_context
from tests.service.server.tls_files import Authority


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    body: bytes


#: Gives the bytes of an answer; None closes the connection. It may wait for as long as it likes.
Script = Callable[[Request], Awaitable[bytes | None]]


class Scripted:
    """What it was asked, and what it answers.

    Attributes:
        requests: all of them.
        connections: how many there were.
    """

    def __init__(self) -> None:
        self.script: Script = answer_all
        self.requests: list[Request] = []
        self.connections = 0
        self.url = ""

    async def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, served as it is served then."""
        await self.serve(reader, writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                request = Request(method, path, body)
                self.requests.append(request)
                answer = await self.script(request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer(status: int, body: bytes = b"", media_type: str = "application/json", more: str = "") -> bytes:
    """An answer in HTTP."""
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def lines(*several: Line | Record, whole: bool = True) -> bytes:
    """A stream of lines."""
    made = [one if isinstance(one, Line) else Line(record=WireRecord.of(one)) for one in several]
    if whole:
        made.append(Line(end=True))
    return answer(200, b"".join(msgspec.json.encode(one) + b"\n" for one in made), "application/x-ndjson")


def problem(status: int, code: str, more: str = "") -> bytes:
    """An error."""
    body = msgspec.json.encode({"type": "about:blank", "title": "no", "status": status, "code": code})
    return answer(status, body, "application/problem+json", more)


def writes_of(request: Request) -> list[Any]:
    """The writes of a request."""
    return list(msgspec.json.decode(request.body, type=WriteRequest).writes)


def done(request: Request) -> bytes:
    """All writes are done."""
    results = [WriteResult("done") for _ in writes_of(request)]
    return answer(200, msgspec.json.encode(WriteReply(results)))


async def answer_all(request: Request) -> bytes:
    """Take all writes, and have no record."""
    if request.path == "/v1/writes":
        return done(request)
    if request.path == "/v1/probe":
        return b"HTTP/1.1 204 x\r\n\r\n"
    return problem(404, "not_found")


@contextlib.asynccontextmanager
async def scripted(authority: Authority, context: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Serve on a free port of loopback."""
    if context is None:
        identity = Identity(*authority.issue("dnastore"))
        context = server_context(ServerFiles(identity, authority.path))
    dnastore = Scripted()
    server = await asyncio.start_server(dnastore.begin, "127.0.0.1", 0, ssl=context)
    dnastore.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield dnastore
    finally:
        server.close()


def files_of(authority: Authority, name: str = "client", **more: Any) -> ClientFiles:
    """Files of a client that trusts an authority and has a certificate of it."""
    return ClientFiles(Identity(*authority.issue(name, **more)), authority.path)


def client_of(
    url: str, files: ClientFiles, observer: StoreObserver | None = None, **more: Any
) -> DnaStoreClient:
    """A client, not started."""
    context = client_context(files)
    return DnaStoreClient(url, lambda: context, observer=observer, **more)
