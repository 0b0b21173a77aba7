"""Accepting connections, also while the process or the machine is short of descriptors."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

_log = structlog.get_logger("app.server")

#: As many at a time, so that those who are connected get their turn.
_AT_ONCE: Final = 64
#: That may be agreeing on TLS; then the one that has tried longest is given up. They have descriptors but are
#: not yet counted as connections: ``core.descriptors.RESERVED`` has room for them.
_MOST_CONNECTING: Final = 256
#: How long to wait when there is no descriptor left, and none to be had.
_PAUSE_SECONDS: Final = 0.1
#: For handshakes that are under way when the server begins to stop: a request may follow.
_FAREWELL_SECONDS: Final = 1.0
#: What a closed TLS connection may take to send what waits: ``Connections`` ends it long before.
_GOODBYE_SECONDS: Final = 86400.0
_COMPLAINT_SECONDS: Final = 60.0

#: Takes the address of a client with whom no TLS came about, and why.
Refused = Callable[[str, OSError], None]


class Acceptor:
    """Takes connections from a listening socket; has what uvicorn wants of an ``asyncio.Server``.

    The event loop's own server takes a failing ``accept`` for readiness that lasts, and tries again
    without end, on all of a processor. This one asks for room, and waits.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        make_room: Callable[[], bool],
        *,
        tls: Callable[[], ssl.SSLContext] | None = None,
        handshake_seconds: float = 10.0,
        most_connecting: int = _MOST_CONNECTING,
        on_refused: Refused | None = None,
    ) -> None:
        """Begin to accept, in the running loop.

        Args:
            listener: a socket that listens and does not block. It stays the caller's.
            make_protocol: for each connection.
            make_room: closes a connection that can be spared, when descriptors are short.
            tls: what makes a connection that begins now TLS; asked for each, as certificates change.
            handshake_seconds: how long a client may take to agree on TLS.
            most_connecting: how many may be about that.
            on_refused: is told of those who did not agree; not of those who were given up to make room.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._make_protocol = make_protocol
        self._make_room = make_room
        self._tls = tls
        self._timeouts = (
            {}
            if tls is None
            else {"ssl_handshake_timeout": handshake_seconds, "ssl_shutdown_timeout": _GOODBYE_SECONDS}
        )
        self._most_connecting = most_connecting
        self._on_refused = on_refused
        self._connecting: dict[asyncio.Task[None], socket.socket] = {}  # oldest first
        self._resumption: asyncio.TimerHandle | None = None
        self._complain_again_at = 0.0
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept no more, after those whom the system has let in: it cuts them off with the socket's end."""
        self._accept()
        self._loop.remove_reader(self._listener)
        if self._resumption is not None:
            self._resumption.cancel()

    async def wait_closed(self) -> None:
        """Wait for those who are about to be connected, for a moment: a stop waits for no stalled handshake.

        Connections look after themselves.
        """
        if self._connecting:
            await asyncio.wait(self._connecting, timeout=_FAREWELL_SECONDS)
        for connecting in self._connecting:
            connecting.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if len(self._connecting) >= self._most_connecting:
                self._give_up_oldest()
            task = self._loop.create_task(self._connect(connection))
            self._connecting[task] = connection
            task.add_done_callback(partial(self._connected, str(address[0])))

    def _give_up_oldest(self) -> bool:
        """Give up the oldest handshake; without TLS there is none, only connections about to be served."""
        if self._tls is None:
            return False
        for connecting in self._connecting:
            if not connecting.cancelling():
                connecting.cancel()
                return True
        return False

    async def _connect(self, connection: socket.socket) -> None:
        await self._loop.connect_accepted_socket(
            self._make_protocol,
            connection,
            ssl=None if self._tls is None else self._tls(),
            **self._timeouts,
        )

    def _connected(self, peer: str, connecting: asyncio.Task[None]) -> None:
        connection = self._connecting.pop(connecting)
        if connecting.cancelled():
            connection.close()
        elif (error := connecting.exception()) is not None:
            connection.close()
            # Clients that go away, or speak something else than TLS, are no news to most.
            if not isinstance(error, OSError):
                _log.error("connection failed", exc_info=error)
            elif self._on_refused is not None:
                self._on_refused(peer, error)

    def _pause(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener)
        closed_one = self._give_up_oldest() or self._make_room()
        self._resumption = self._loop.call_later(0 if closed_one else _PAUSE_SECONDS, self._resume)
        if self._loop.time() >= self._complain_again_at:
            self._complain_again_at = self._loop.time() + _COMPLAINT_SECONDS
            _log.error("cannot accept connections", cause=error.strerror, closed_an_idle_one=closed_one)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept)
