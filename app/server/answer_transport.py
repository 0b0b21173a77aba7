"""Answers that leave in one piece."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

#: Bytes of a body that are copied to stand behind their head. Large ones are better not: thousands of clients
#: may wait for the same page.
_MOST_JOINED: Final = 16 << 10


class AnswerTransport:
    """What one answer is written to. Its head waits for the first piece of its body.

    The server writes the two one after the other, and each write is a call of the system, the most
    expensive part of a short answer.
    """

    __slots__ = ("_cycle", "_head", "_transport", "large")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle = cycle
        #: The size of a body that was too large to be copied, or 0.
        self.large = 0
        #: None until there is one, empty when it was written.
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Write, or keep what must be the head."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= _MOST_JOINED:
                data = head + data
            else:
                self._transport.write(head)
                self.large = len(data)
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
