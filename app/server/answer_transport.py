"""Answers that leave in one piece."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class AnswerTransport:
    """What one answer is written to. Its head waits for the first piece of its body.

    The server writes the two one after the other, and each write is a call of the system, the most
    expensive part of a short answer.
    """

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        #: None until there is one, empty when it was written.
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Write, or keep what must be the head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif self._head is None and self._cycle.response_started:
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write a head whose body has nothing."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Close the connection when everything is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is closing."""
        return self._transport.is_closing()
