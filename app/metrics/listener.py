"""The server of ``/metrics``: a thread that answers one kind of request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import structlog

#: For the head of a request, and again for the answer.
_SECONDS: Final = 10.0
_HEAD_BYTES: Final = 16 * 1024
_MOST_CONNECTIONS: Final = 32
_UPKEEP_SECONDS: Final = 1.0

#: Takes the value of ``Accept``; gives the text and its media type.
Render = Callable[[str], tuple[bytes, str]]

_log = structlog.get_logger("app.metrics")


class _Answering:
    """Answers the connections of one process."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and the connection's end."""
        self._connections += 1
        try:
            # Whoever is slow, or no HTTP, gets nothing.
            with contextlib.suppress(
                TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
            ):
                if self._connections <= _MOST_CONNECTIONS:
                    async with asyncio.timeout(_SECONDS):
                        head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answered(head))
                    async with asyncio.timeout(_SECONDS):
                        await writer.drain()
        except Exception:
            _log.exception("metrics not rendered")
        finally:
            self._connections -= 1
            writer.close()

    def _answered(self, head: bytes) -> bytes:
        lines = head.decode("latin-1").split("\r\n")
        method, _, target = lines[0].partition(" ")
        if target.partition(" ")[0].partition("?")[0] != "/metrics":
            return _response("404 Not Found", b"", "text/plain")
        if method not in {"GET", "HEAD"}:
            return _response("405 Method Not Allowed", b"", "text/plain", "Allow: GET, HEAD\r\n")
        fields = (line.partition(":") for line in lines[1:])
        accept = ",".join(value.strip() for name, _, value in fields if name.lower() == "accept")
        body, media_type = self._render(accept)
        return _response("200 OK", body, media_type, with_body=method == "GET")


def _response(status: str, body: bytes, media_type: str, more: str = "", *, with_body: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode("latin-1") + (body if with_body else b"")


async def _keep_up(upkeep: Callable[[], None], stop: asyncio.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UPKEEP_SECONDS):
                await stop.wait()
        try:
            upkeep()
        except Exception:
            _log.exception("metrics not kept")


@contextlib.contextmanager
def answering(listener: socket.socket, render: Render, upkeep: Callable[[], None]) -> Iterator[None]:
    """Answer in a thread, until left.

    Args:
        listener: does not block; may be shared with other processes, of which any may answer.
        render: makes the text; called in that thread.
        upkeep: called in that thread once a second, and at the end.
    """
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        # A duplicate, as the server closes its own.
        server = await asyncio.start_server(_Answering(render).answer, sock=listener.dup(), limit=_HEAD_BYTES)
        ready.set()
        await _keep_up(upkeep, stop)
        server.close()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="sigil-metrics", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stop.set)
        thread.join()
