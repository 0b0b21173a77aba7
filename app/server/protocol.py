"""HTTP/1.1 connections whose requests are bounded in everything, not only in their bodies."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a request's line and headers, or of what follows its last chunk.
_LARGEST_HEAD: Final = 64 << 10
_REFUSAL: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """Ends a connection whose request never comes to its body, or never ends after it.

    A head that is not whole when the keep-alive time has passed is given up, as a connection without
    one is.

    The parser keeps a head until it is whole, whatever its size. And it reports trailers as if they
    were headers, which a proxy has not looked at: they are dropped (RFC 9110 §6.5.1).
    """

    _in_head = False
    _in_trailers = False
    #: Received since the head, or what may be trailers, began: at most a piece more than belongs to it.
    _pending = 0
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection, which owes us a head."""
        super().connection_made(transport)
        self._watch_head(expected=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        self._watch_head(expected=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        self._pending += len(data)
        super().data_received(data)
        too_large = (self._in_head or self._in_trailers) and self._pending > _LARGEST_HEAD
        if too_large and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()
        self._watch_head(expected=self._in_head)

    def _watch_head(self, *, expected: bool) -> None:
        """Give a head its time, once; most arrive whole and need no clock."""
        if not expected and self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
        elif expected and self._head_deadline is None:
            self._head_deadline = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever offers another protocol is answered in this one."""

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._in_head, self._in_trailers, self._pending = True, False, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of the head."""
        self._in_head = False
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """A chunk's size; trailers follow the one that is empty."""
        self._in_trailers, self._pending = True, 0

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._in_trailers = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's last byte."""
        self._in_trailers = False
        super().on_message_complete()
