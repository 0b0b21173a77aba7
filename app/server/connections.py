"""All connections of a process: how many there may be, and which have waited too long."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from app.server.memory import give_back

_SWEEP_SECONDS: Final = 1.0
#: What a client must take of an answer within the write timeout, unless it has taken all.
_LEAST_TAKEN: Final = 64 << 10
#: An answer that was written this short a time ago may not have left the process yet.
_FRESH_SECONDS: Final = 1.0
#: After so many have gone, what they took is worth giving back.
_FLOOD: Final = 1000
#: Where Linux has tcpi_bytes_acked in struct tcp_info.
_BYTES_ACKNOWLEDGED: Final = slice(120, 128)


class ConnectionLimits(msgspec.Struct, frozen=True):
    """What connections may take.

    Attributes:
        connections: how many of them there may be.
        keep_alive_seconds: how long one may be silent between requests.
        head_seconds: how long a request's head may take, from its first byte.
        drain_seconds: how long a body may go on whose request has been answered.
        write_seconds: how long a client may leave an answer waiting.
    """

    connections: int
    keep_alive_seconds: float
    head_seconds: float
    drain_seconds: float
    write_seconds: float


class Connection(Protocol):
    """A connection, as far as it is watched here."""

    transport: asyncio.Transport
    #: The line that it stands in; managed by the line.
    line: Line | None

    def give_up(self) -> None:
        """End the connection, which has no request in progress."""

    def abort(self) -> None:
        """End the connection at once, whatever waits in it."""


class Line:
    """Connections that wait for the same thing, in the order in which they began to."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Connection, float] = {}

    def join(self, connection: Connection, now: float) -> None:
        """Stand at the end, and no longer in another line; whoever is in this one keeps its place."""
        if connection.line is not self:
            if connection.line is not None:
                connection.line.leave(connection)
            self._since[connection] = now
            connection.line = self

    def leave(self, connection: Connection) -> None:
        """Stand in no line."""
        del self._since[connection]
        connection.line = None

    def oldest(self) -> tuple[float, Connection] | None:
        """Who has waited longest, and since when."""
        for connection, since in self._since.items():
            return since, connection
        return None

    def overdue(self, now: float) -> Iterator[Connection]:
        """Those whose time is over; each must leave before the next is asked for."""
        while (oldest := self.oldest()) is not None and now - oldest[0] >= self._seconds:
            yield oldest[1]


class _Taken(NamedTuple):
    """How far a client had come with reading, and when."""

    size: int
    at: float


class Connections:
    """Counts and watches the connections of one event loop.

    A connection without a request in progress stands in a line: it may be closed to make room. One
    clock for all looks once a second at who has waited too long, and at who does not read.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.waiting = Line(limits.keep_alive_seconds)
        self.heads = Line(limits.head_seconds)
        self.draining = Line(limits.drain_seconds)
        #: Whether the server has begun to stop: every answer is its connection's last.
        self.stopping = False
        self._limits = limits
        self._all: set[Connection] = set()
        #: As many as there have been since memory was last given back.
        self._highest = 0
        self._unread: dict[Connection, _Taken] = {}
        self._clock: asyncio.TimerHandle | None = None

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, for which the one that is idle longest may have to go."""
        if len(self._all) >= self._limits.connections and not self.make_room():
            return False
        self._all.add(connection)
        self._highest = max(self._highest, len(self._all))
        if self._clock is None:
            self._clock = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        if connection.line is not None:
            connection.line.leave(connection)
        self._all.discard(connection)
        self._unread.pop(connection, None)

    def make_room(self) -> bool:
        """Close the connection that is idle longest; False if all have requests in progress."""
        oldest = [one for line in (self.waiting, self.heads, self.draining) if (one := line.oldest())]
        if not oldest:
            return False
        since, connection = min(oldest, key=lambda one: one[0])
        now = asyncio.get_running_loop().time()
        if now - since < _FRESH_SECONDS and connection.transport.get_write_buffer_size():
            return False
        connection.give_up()
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for line in (self.waiting, self.heads, self.draining):
            for connection in line.overdue(now):
                connection.give_up()
        for connection in list(self._all):
            if connection.transport.get_write_buffer_size():
                self._watch_reader(connection, now)
            else:
                self._unread.pop(connection, None)
        if self._highest - len(self._all) >= _FLOOD:
            give_back()
            self._highest = len(self._all)
        self._clock = loop.call_later(_SWEEP_SECONDS, self._sweep) if self._all else None

    def _watch_reader(self, connection: Connection, now: float) -> None:
        """Abort a connection, closing ones too, whose client takes too little of what waits for it."""
        taken = _bytes_taken(connection.transport)
        before = self._unread.get(connection)
        if before is None or taken - before.size >= _LEAST_TAKEN:
            self._unread[connection] = _Taken(taken, now)
        elif now - before.at >= self._limits.write_seconds:
            connection.abort()


def _bytes_taken(transport: asyncio.Transport) -> int:
    """What the other side has acknowledged since the connection began."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    except OSError:  # the connection is broken, as will be heard soon
        return 0
    return int.from_bytes(info[_BYTES_ACKNOWLEDGED], sys.byteorder)
