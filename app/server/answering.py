"""Connections that send whole answers in one write, and together with those of others."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.http.problems import Headers
from app.http.replies import lines_of
from app.server.connections import Connections
from app.server.whole_request import WholeRequest

_CLOSE: Final = (b"connection", b"close")
_CLOSE_LINE: Final = b"connection: close\r\n"
#: Bytes of a body that are copied to stand behind their head. More are better not: thousands of clients may
#: wait for the same page.
_MOST_JOINED: Final = 16 << 10
#: Bytes of answers that a connection lets wait: what is more than its client may leave unread is written at
#: once, so that its next request is not begun before it reads.
_MOST_WAITING: Final = 64 << 10


class AnsweringProtocol(HttpToolsProtocol, ABC):
    """uvicorn's connection, and a way out for answers that are whole.

    It is what ASGI's messages come to, for less: the server looks at each header by itself, and writes head
    and body apart. An answer waits to leave together with others', see ``Outbox``; what else is written or
    closed until then must have it written before.
    """

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make what uvicorn makes, with the connections among which this is one."""
        super().__init__(config, server_state, app_state, loop)
        self._among = connections
        #: Answers that are not written yet.
        self._waiting: list[bytes] = []
        self._waiting_size = 0

    def write(self, data: bytes) -> None:
        """Write now, behind what waits."""
        self.write_out()
        self.transport.write(data)

    def write_out(self) -> None:
        """Write what waits to leave together with others' answers, if anything does."""
        if not self._waiting:
            return
        pieces, size = self._waiting, self._waiting_size
        self._drop_waiting()
        if len(pieces) == 1:
            self.transport.write(pieces[0])
        else:
            self.transport.writelines(pieces)
        if size > _MOST_JOINED:
            self.answered_at_length(size)

    def _drop_waiting(self) -> None:
        self._waiting, self._waiting_size = [], 0

    def eof_received(self) -> None:
        """The client sends no more, but reads: the connection is closed behind what waits."""
        self.write_out()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection; nobody reads what waits."""
        self._drop_waiting()
        super().connection_lost(exc)

    @abstractmethod
    def answered_at_length(self, size: int) -> None:
        """Note that a long answer was written, which may wait for its client."""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer the request that is in progress, whole, and in one write unless it is long.

        Args:
            status: of the answer.
            headers: their names in lower case, the body's length among them, if it has one.
            body: left out of the answer to a HEAD request.

        Raises:
            ValueError: a header would end its line, or be cut short.
        """
        if self.flow.write_paused:
            await self.flow.drain()
        cycle = self.cycle
        if cycle is None or cycle.disconnected:
            return
        if _CLOSE in headers:
            cycle.keep_alive = False
        self._write_answer(cycle, cycle.scope["method"], status, lines_of(headers), body)

    def write_answer(self, status: int, lines: bytes, body: bytes) -> None:
        """Answer the request that is in progress, whole and now. It began when its client was not behind.

        Args:
            status: of the answer.
            lines: its headers as they stand on the wire, and known to be well-formed.
            body: left out of the answer to a HEAD request.
        """
        cycle = self.cycle
        if isinstance(cycle, WholeRequest) and not cycle.disconnected:
            self._write_answer(cycle, cycle.head.route[0], status, lines, body)

    def _write_answer(
        self, cycle: RequestResponseCycle, method: str, status: int, lines: bytes, body: bytes
    ) -> None:
        closing = b"" if cycle.keep_alive or _CLOSE_LINE in lines else _CLOSE_LINE
        more = self._among.lines_of_all(self.server_state.default_headers)
        head = (STATUS_LINE[status], more, lines, closing, b"\r\n")
        if method == "HEAD":
            body = b""
        if len(body) > _MOST_JOINED:
            self._waiting += (b"".join(head), body)
        else:
            self._waiting.append(b"".join((*head, body)))
        self._waiting_size += len(body)
        if cycle.keep_alive and self._waiting_size <= _MOST_WAITING:
            self._among.outbox.put(self, self.loop)
        else:
            self.write_out()
        if isinstance(cycle, WholeRequest):
            cycle.end()
        else:
            cycle.response_started = cycle.response_complete = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
