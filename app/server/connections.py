"""All connections of a process: how many there may be, and which have waited too long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from app.http.problems import Headers
from app.server.delivery import bytes_taken, has_arrived
from app.server.known_heads import KnownHeads
from app.server.memory import give_back
from app.server.outbox import Outbox

_log = structlog.get_logger("app")
_SWEEP_SECONDS: Final = 1.0
#: A stop waits for those that leave, so it looks more often.
_STOPPING_SWEEP_SECONDS: Final = 0.05
#: What a client must take of an answer within the write timeout, unless it has taken all.
_LEAST_TAKEN: Final = 64 << 10
#: An answer that was written this short a time ago may not have left the process yet.
_FRESH_SECONDS: Final = 1.0
#: Bytes of answers that may wait in the process until clients read them, in all.
_MOST_UNREAD: Final = 256 << 20
#: When they are more, as many may stay.
_KEPT_UNREAD: Final = _MOST_UNREAD * 3 // 4
#: When so much less waits than before, what it took is worth giving back.
_MUCH_READ: Final = 64 << 20
#: After so many have gone, what they took is worth giving back.
_FLOOD: Final = 1000
#: The log tells of answers that were cut off no more often.
_REPORT_SECONDS: Final = 10.0


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

    def write_out(self) -> None:
        """Write the answer that waits for the end of the loop's turn, if there is one."""

    def give_up(self) -> None:
        """Close the connection, which has no request in progress; what was written may still be read."""

    def hang_up(self) -> None:
        """Close the connection, and wait for nothing: its place and its descriptor are needed."""

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
    clock for all looks once a second at who has waited too long, at who does not read, and at who is
    closed but not gone: TLS waits for the other side's goodbye, which many never say.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.waiting = Line(limits.keep_alive_seconds)
        self.heads = Line(limits.head_seconds)
        self.draining = Line(limits.drain_seconds)
        #: Whether the server has begun to stop: every answer is its connection's last.
        self.stopping = False
        self.outbox = Outbox()
        #: The heads that requests had last.
        self.known_heads = KnownHeads()
        self._default_headers: Headers = ()
        self._default_lines = b""
        self._limits = limits
        self._all: set[Connection] = set()
        #: As many as there have been since memory was last given back.
        self._highest = 0
        self._unread: dict[Connection, _Taken] = {}
        #: How long the large answers are that clients may still be reading. The oldest first.
        self._unread_answers: dict[Connection, int] = {}
        self._unread_size = 0
        #: As much as there has been since memory was last given back.
        self._most_unread = 0
        #: Closed, and everything had arrived at the last look.
        self._leaving: set[Connection] = set()
        #: Whether much was given back at the last look.
        self._was_ebbing = False
        self._clock: asyncio.TimerHandle | None = None
        self._report_again_at = 0.0
        #: Connections that found no place, those cut off because nobody read their answers, and those over
        #: which something came that is no request.
        self.refused = 0
        self.cut_off = 0
        self.malformed = 0

    def __len__(self) -> int:
        return len(self._all)

    def lines_of_all(self, headers: Headers) -> bytes:
        """The headers that all answers have, as they stand on the wire; others are another object."""
        if headers is not self._default_headers:
            self._default_lines = b"".join([b"%b: %b\r\n" % header for header in headers])
            self._default_headers = headers
        return self._default_lines

    def admit(self, connection: Connection) -> bool:
        """Count a connection in, for which the one that is idle longest may have to go."""
        if len(self._all) >= self._limits.connections and not self.make_room():
            self.refused += 1
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
        self._leaving.discard(connection)
        self._note_read(connection)

    def answered_at_length(self, connection: Connection, size: int) -> None:
        """Note a large answer, which may wait for its client to read it.

        When too much waits for all clients, those who have been at it for longest are cut off.
        """
        self._note_read(connection)
        self._unread_answers[connection] = size
        self._unread_size += size
        self._most_unread = max(self._most_unread, self._unread_size)
        if self._unread_size <= _MOST_UNREAD:
            return
        for one in list(self._unread_answers):
            if has_arrived(one.transport):
                self._note_read(one)
        if self._unread_size <= _MOST_UNREAD:
            return
        for one in list(self._unread_answers):
            if self._unread_size <= _KEPT_UNREAD:
                break
            self._note_read(one)
            self._cut_off_reader(one)

    def _note_read(self, connection: Connection) -> None:
        self._unread_size -= self._unread_answers.pop(connection, 0)

    def make_room(self) -> bool:
        """Close the connection that is idle longest; False if all have requests in progress."""
        oldest = [one for line in (self.waiting, self.heads, self.draining) if (one := line.oldest())]
        if not oldest:
            return False
        since, connection = min(oldest, key=lambda one: one[0])
        connection.write_out()
        if not connection.transport.get_write_buffer_size():
            connection.hang_up()
        elif asyncio.get_running_loop().time() - since >= _FRESH_SECONDS:
            # Its client has had its time to read, and its place is needed now.
            self._cut_off_reader(connection)
        else:
            return False
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for line in (self.waiting, self.heads, self.draining):
            for connection in line.overdue(now):
                connection.give_up()
        for connection in list(self._all):
            transport = connection.transport
            is_closing = transport.is_closing()
            # The buffer's size leaves out what TLS has encrypted.
            may_wait = is_closing or connection in self._unread_answers
            if transport.get_write_buffer_size() or (may_wait and not has_arrived(transport)):
                self._watch_reader(connection, now)
                continue
            self._unread.pop(connection, None)
            self._note_read(connection)
            if is_closing:
                self._see_off(connection)
        gone, read = self._highest - len(self._all), self._most_unread - self._unread_size
        is_ebbing = gone >= _FLOOD or read >= _MUCH_READ
        if is_ebbing or self._was_ebbing:  # twice: some of it is let go a moment later
            give_back()
            self._highest, self._most_unread = len(self._all), self._unread_size
        self._was_ebbing = is_ebbing
        pause = _STOPPING_SWEEP_SECONDS if self.stopping else _SWEEP_SECONDS
        is_needed = self._all or is_ebbing
        self._clock = loop.call_later(pause, self._sweep) if is_needed else None

    def _watch_reader(self, connection: Connection, now: float) -> None:
        """Abort a connection, closing ones too, whose client takes too little of what waits for it."""
        self._leaving.discard(connection)
        taken = bytes_taken(connection.transport)
        before = self._unread.get(connection)
        if before is None or taken - before.size >= _LEAST_TAKEN:
            self._unread[connection] = _Taken(taken, now)
        elif now - before.at >= self._limits.write_seconds:
            self._cut_off_reader(connection)

    def _cut_off_reader(self, connection: Connection) -> None:
        """End a connection whose client does not read, and tell the operator, but not of each."""
        connection.abort()
        self.cut_off += 1
        now = asyncio.get_running_loop().time()
        if now >= self._report_again_at:
            self._report_again_at = now + _REPORT_SECONDS
            _log.warning("answers cut off", cut_off_so_far=self.cut_off)

    def _see_off(self, connection: Connection) -> None:
        """End a closed connection at the second look: by then, what TLS still had has left as well."""
        if connection in self._leaving:
            connection.transport.abort()
        else:
            self._leaving.add(connection)
