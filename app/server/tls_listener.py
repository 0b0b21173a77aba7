"""Accepting TLS connections."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

_HANDSHAKE_SECONDS: Final = 10.0
_MOST_HANDSHAKES: Final = 512
#: Pause when the system has no descriptor, or no memory, for another connection.
_EXHAUSTED_SECONDS: Final = 0.1

_log = structlog.get_logger("app.server")


class TlsListener:
    """Hands connections on to HTTP when their handshake is done.

    It accepts by itself, one connection a turn of the event loop, for three things that
    ``loop.create_server`` does not do: every connection gets the context that holds when it begins, so that
    certificates can change; connections that do not come to an end of their handshake are bounded
    in number as well as in time, the oldest going first; and none of them holds up a stop. What fails in a
    handshake is not logged: whoever can reach the port can cause it at will.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        context: Callable[[], ssl.SSLContext],
        *,
        handshake_seconds: float = _HANDSHAKE_SECONDS,
        most_handshakes: int = _MOST_HANDSHAKES,
    ) -> None:
        """Accept from now on; call it in the event loop.

        Args:
            listener: listens, and does not block. It stays the caller's.
            make_protocol: makes what talks through a connection.
            context: gives the context of a new connection.
            handshake_seconds: after which a handshake is given up.
            most_handshakes: how many may be going on.
        """
        self._listener = listener
        self._make_protocol = make_protocol
        self._context = context
        self._handshake_seconds = handshake_seconds
        self._most_handshakes = most_handshakes
        self._loop = asyncio.get_running_loop()
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        self._exhausted: asyncio.TimerHandle | None = None
        self._closed = False
        self._listen()

    def close(self) -> None:
        """Accept no more, and give up handshakes. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._exhausted is not None:
            self._exhausted.cancel()
        self._loop.remove_reader(self._listener)
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        """Wait until the handshakes are given up. Connections that were handed on are not waited for."""
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _listen(self) -> None:
        self._exhausted = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # another process was quicker, or the client has gone again
        except OSError:
            # The connection waits on; looking at it again at once would be a busy loop.
            self._give_up_oldest()
            self._loop.remove_reader(self._listener)
            self._exhausted = self._loop.call_later(_EXHAUSTED_SECONDS, self._listen)
            return
        connection.setblocking(False)
        if len(self._handshakes) >= self._most_handshakes:
            self._give_up_oldest()
        handshake = self._loop.create_task(self._shake_hands(connection))
        self._handshakes[handshake] = connection
        handshake.add_done_callback(self._shaken)

    def _give_up_oldest(self) -> None:
        for handshake in self._handshakes:
            if not handshake.cancelling():
                handshake.cancel()
                return

    async def _shake_hands(self, connection: socket.socket) -> None:
        await self._loop.connect_accepted_socket(
            self._make_protocol,
            connection,
            ssl=self._context(),
            ssl_handshake_timeout=self._handshake_seconds,
        )

    def _shaken(self, handshake: asyncio.Task[None]) -> None:
        connection = self._handshakes.pop(handshake)
        if handshake.cancelled():
            connection.close()
        elif (error := handshake.exception()) is not None:
            connection.close()
            if not isinstance(error, OSError):
                _log.error("handshake failed", exc_info=error)
