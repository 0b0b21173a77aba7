"""HTTP/1.1 connections that are bounded in everything: heads, bodies, time, and what waits in them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.http.context import ABORT, ANSWER, PEER_NAMES
from app.server.answering import AnsweringProtocol
from app.server.connections import Connections, Line
from app.server.delivery import has_arrived
from app.server.known_heads import END, KnownHead
from app.server.peers import names_of
from app.server.refusals import HEAD_TOO_LARGE, MALFORMED, TOO_MANY_CONNECTIONS
from app.server.whole_request import WholeRequest

#: Bytes of a request's line and headers, or of what stands between two pieces of its body.
_LARGEST_HEAD: Final = 64 << 10
_MOST_HEADERS: Final = 128
#: A chunk costs as much to handle as these bytes of a body; so many more are tolerated than paid for.
_PIECE_COST: Final = 16
_UNPAID_PIECES: Final = 4096
#: Every request has this in its first line, which is how one is told from the next before it is parsed.
_VERSION: Final = b"HTTP/1."
#: For requests that are on their way when the server begins to stop: closed connections would lose them.
_FAREWELL_SECONDS: Final = 1.0
#: The longest body whose head is remembered: a longer one does not come in one piece.
_LONGEST_WHOLE: Final = 64 << 10
#: Headers of heads that are not remembered: the parser's own affair, and what is another with each request.
_NOT_AGAIN: Final = frozenset({b"transfer-encoding", b"x-request-id", b"idempotency-key", b"traceparent"})
#: What a scope says of its connection and its server, and no head.
_OF_CONNECTION: Final = frozenset({"server", "client", "scheme", "extensions", "state"})
#: struct linger: on, for no time.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class _RefusedError(Exception):
    """The parser takes what the service does not."""

    def __init__(self, answer: bytes = MALFORMED) -> None:
        super().__init__()
        self.answer = answer


class BoundedProtocol(AnsweringProtocol):
    """A connection whose requests are read one at a time, and not before the one before is answered.

    Nor is one begun while the client is behind with reading answers: it would be in progress, one of as
    many as there may be, for as long as the client likes.

    The parser by itself keeps a head until it is whole, whatever its size, and takes any number of
    requests ahead; it reports trailers as if they were headers, which a proxy has not looked at (they
    are dropped: RFC 9110 §6.5.1); and it takes what two parties could understand differently.

    Whatever a connection waits for, without a request in progress, it stands in one of the lines of
    ``Connections``, which ends it when it takes too long or its place is needed.
    """

    line: Line | None = None
    #: No request has begun that is not read to its end.
    _at_rest = True
    _in_head = False
    #: Nothing of what arrives is looked at any more.
    _deaf = False
    #: The head that was read last is whole, and of a request that may be known by it.
    _is_ordinary = False
    _hosts = 0
    _announced = 0
    #: Of a body whose length was announced.
    _body_left = 0
    #: Received since the head, or the last piece of a body, began: at most a piece more than belongs to it.
    _pending = 0
    _unpaid = 0
    #: What arrived behind a request that is not answered yet, or whose answer is not read. Reading is
    #: paused meanwhile.
    _held = b""
    #: Written after the answer, before the connection is closed.
    _last_word = b""

    def __init__(
        self,
        connections: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Make what uvicorn makes, with the connections among which this is one."""
        super().__init__(connections, config, server_state, app_state, _loop)
        self._known_head = connections.known_heads.get
        self._extensions: dict[str, object] | None = {ABORT: self.abort, ANSWER: self.answer}
        #: What scopes say of the connection.
        self._ends: dict[str, object] = {}
        self._prompt: Callable[[WholeRequest], bool] = getattr(self.app, "prompt", _never)

    # -- the connection --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection, if there is room for it."""
        if self._among.admit(self):
            certificate = transport.get_extra_info("peercert")
            if certificate and self._extensions is not None:
                self._extensions[PEER_NAMES] = names_of(certificate)
            super().connection_made(transport)
            self._ends = {
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme,
                "extensions": self._extensions,
            }
            self._settle()
            if self._among.stopping:
                self.shutdown()
        else:
            self.transport = transport
            transport.write(TOO_MANY_CONNECTIONS)
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        self._among.forget(self)
        super().connection_lost(exc)
        # Each leads back to here: thousands of them would wait for the garbage collector.
        self._extensions = None
        self._ends = {}
        self.scope = self.cycle = None  # type: ignore[assignment]

    def shutdown(self) -> None:
        """Called when the server begins to stop: what runs is answered, what is on its way as well."""
        if self._is_busy():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(_FAREWELL_SECONDS, self._close_unless_busy)

    def give_up(self) -> None:
        """Close the connection, which has no request in progress; what was written may still be read."""
        self.write_out()
        if has_arrived(self.transport):
            self.hang_up()
        else:
            self._leave_line()
            self.transport.close()

    def hang_up(self) -> None:
        """Close, and do not wait for the other side's goodbye: place and descriptor are free at once."""
        self.write_out()
        self._leave_line()
        self.transport.close()
        self.loop.call_soon(self.transport.abort)  # what was written now leaves before

    def abort(self) -> None:
        """End the connection at once, whatever waits in it."""
        self._drop_waiting()
        with contextlib.suppress(OSError):
            # Or the system would keep what the client does not read, and the connection with it.
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
            )
        self.transport.abort()

    def answered_at_length(self, size: int) -> None:
        """See AnsweringProtocol."""
        self._among.answered_at_length(self, size)

    def _close_unless_busy(self) -> None:
        if not self._is_busy() and not self.transport.is_closing():
            self.write_out()
            self.transport.close()

    def _is_busy(self) -> bool:
        """A request is in progress: its head was read, and its answer not written."""
        return self.cycle is not None and not self.cycle.response_complete

    def _is_owing(self) -> bool:
        """A request was read to its end, and not answered."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _settle(self) -> None:
        """Stand in the line for what the connection waits for now."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._leave_line()
        elif not self.transport.is_closing():
            line = (
                self._among.waiting
                if self._at_rest
                else self._among.heads
                if self._in_head
                else self._among.draining
            )
            line.join(self, self.loop.time())

    def _leave_line(self) -> None:
        if self.line is not None:
            self.line.leave(self)

    # -- bytes in --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read on, up to the end of a request; what follows that waits for the answer."""
        if self._deaf:
            return
        if self._held:
            self._hold(data)
        elif not self._at_rest or not self._take_whole(data):
            self._read(data)
            self._settle()

    def _take_whole(self, data: bytes) -> bool:
        """Begin with a request that is here to its last byte, if its head was read before."""
        cycle = self.cycle
        if (cycle is not None and not cycle.response_complete) or self.flow.write_paused:
            return False
        end = data.find(END) + len(END)
        head = self._known_head(data[:end])
        if head is None or len(data) - end != head.body_size:
            return False
        self.cycle = request = WholeRequest(self, head, data[end:])
        if self._among.stopping:
            request.keep_alive = False
        if self.line is not None:
            self.line.leave(self)
        if not self._prompt(request):
            request.for_asgi()
            self._start_asgi_task(request, self.app)
        return True

    def scope_of(self, head: KnownHead) -> dict[str, Any]:
        """The scope of a request over this connection."""
        return {**head.scope, **self._ends, "state": self.app_state.copy()}

    def on_response_complete(self) -> None:
        """The answer is written: on with the next request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self._last_word:
            self._say(self._last_word)
        elif self._at_rest and not self._held:
            self.flow.resume_reading()
            self._among.waiting.join(self, self.loop.time())
        else:
            self._go_on()

    def resume_writing(self) -> None:
        """The client has read: on with what it has sent meanwhile."""
        super().resume_writing()
        if self._held:
            self._go_on()

    def _go_on(self) -> None:
        """Read what was held back, and what comes."""
        if self._is_owing() or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self._held:
            data, self._held = self._held, b""
            self._read(data)
        self._settle()

    def _hold(self, data: bytes) -> None:
        self._held += data
        self.flow.pause_reading()

    def _read(self, data: bytes) -> None:
        begin = 0
        while begin < len(data) and not self._deaf:
            if self._is_owing() or (self.flow.write_paused and (self._at_rest or self._in_head)):
                self._hold(data[begin:])
                return
            end = self._end_of_piece(data, begin)
            if self._at_rest and (end_of_head := data.find(END, begin, end)) >= 0:
                end_of_head += len(END)
                self._read_head(data[begin:end_of_head])
                self._pending = end_of_head - end  # what came together with the head does not count
                end = end_of_head
            else:
                self._parse(data[begin:end])
            begin = end

    def _end_of_piece(self, data: bytes, begin: int) -> int:
        """Where to stop parsing, so that no more than one request's head ends before."""
        if self._body_left > 0 and not self._in_head:
            return min(begin + self._body_left, len(data))
        first = data.find(_VERSION, begin) if self._at_rest else begin
        end = data.find(_VERSION, first + 1) if first >= 0 else -1
        return end if end >= 0 else len(data)

    def _read_head(self, piece: bytes) -> None:
        """Parse what looks like one whole head; if it is, and an ordinary one, the next like it is known."""
        self._is_ordinary = False
        self._parse(piece)
        size = self._announced
        if self._is_ordinary and self._body_left == size and self._at_rest == (size == 0):
            scope = {name: value for name, value in self.scope.items() if name not in _OF_CONNECTION}
            self._among.known_heads.remember(piece, scope, size)

    def _parse(self, piece: bytes) -> None:
        self._pending += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            return  # its request is answered in HTTP/1.1, as any other
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.answer if isinstance(cause, _RefusedError) else MALFORMED)
            return
        if self._pending > _LARGEST_HEAD and not self._at_rest:
            self._refuse(HEAD_TOO_LARGE)

    def _refuse(self, answer: bytes) -> None:
        """Read no more; say why, where that can be taken for nothing but the answer to it."""
        self._deaf = True
        self._among.malformed += 1
        if self._is_owing():
            self._last_word = answer
        elif self._is_busy() and self.cycle.response_started:
            self.abort()
        elif self._is_busy() or self._at_rest or self._in_head:
            self._say(answer)
        else:
            self.write_out()
            self.transport.close()  # the request was answered already

    def _say(self, answer: bytes) -> None:
        self.write(answer)
        self.transport.close()

    # -- the parser's findings -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._at_rest, self._in_head = False, True
        self._hosts = self._announced = self._body_left = self._pending = self._unpaid = 0
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        if not self._in_head:
            return
        name = name.lower()
        # The parser leaves what stands behind a value, which is no part of it: RFC 9110 §5.5.
        value = value.rstrip(b" \t")
        if name == b"host":
            self._hosts += 1
        elif name == b"content-length":
            self._announced = self._body_left = int(value)
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise _RefusedError
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the head."""
        version = self.parser.get_http_version()
        if version == "1.1":
            good = self._hosts == 1
        else:
            good = version == "1.0" and not any(name == b"transfer-encoding" for name, _ in self.headers)
        if not good or b"#" in self.url or self._is_busy():
            raise _RefusedError
        if len(self.headers) > _MOST_HEADERS:
            raise _RefusedError(HEAD_TOO_LARGE)
        super().on_headers_complete()
        self._in_head = False
        self._is_ordinary = (
            self.cycle.keep_alive
            and not self.expect_100_continue
            and self._announced <= _LONGEST_WHOLE
            and _NOT_AGAIN.isdisjoint([name for name, _ in self.headers])
            and not self.parser.should_upgrade()
        )
        if self._among.stopping:
            self.cycle.keep_alive = False
        if self.parser.should_upgrade():
            # The parser takes what follows for the other protocol; it may as well be this request's body.
            self.cycle.keep_alive = False
            self._deaf = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body; each chunk has at least one."""
        self._pending = 0
        self._body_left -= len(body)
        self._unpaid += _PIECE_COST - len(body)
        if self._unpaid > _PIECE_COST * _UNPAID_PIECES:
            raise _RefusedError
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request's last byte."""
        self._at_rest = True
        super().on_message_complete()


def _never(_: WholeRequest) -> bool:
    """Answer nothing at once."""
    return False
