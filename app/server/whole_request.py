"""A request that is here to its last byte, with a head that was read before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

if TYPE_CHECKING:
    from app.server.known_heads import KnownHead
    from app.server.protocol import BoundedProtocol


class WholeRequest(RequestResponseCycle):
    """What uvicorn's own class is for a request that arrives bit by bit, without what only those need.

    Attributes:
        head: the request's.
        whole_body: all of its bytes.
        write_answer: sends an answer now: of its status, its headers as they stand on the wire, which must be
            known to be well-formed, and its body.
    """

    # As they are at first; see RequestResponseCycle.
    disconnected = False
    keep_alive = True
    waiting_for_100_continue = False
    access_log = False
    more_body = False
    response_started = False
    response_complete = False
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _event: asyncio.Event | None = None
    _scope: dict[str, Any] | None = None
    _is_read = False

    def __init__(self, protocol: BoundedProtocol, head: KnownHead, body: bytes) -> None:
        """Make it of a connection that has nothing else to do."""
        self.head = head
        self.whole_body = body
        self._protocol = protocol
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.on_response = protocol.on_response_complete
        self.write_answer = protocol.write_answer

    @property
    def scope(self) -> Any:  # type: ignore[override]
        """ASGI's scope, which is made when it is asked for."""
        if self._scope is None:
            self._scope = self._protocol.scope_of(self.head)
        return self._scope

    @property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        """Is set when there is news for ``receive``. Few ever wait for it."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def end(self) -> None:
        """The answer is written."""
        self.response_started = self.response_complete = True
        if self._event is not None:
            self._event.set()

    async def receive(self) -> Any:
        """See ASGI: the body, then the end of the connection."""
        if not self._is_read and not self.disconnected and not self.response_complete:
            self._is_read = True
            return {"type": "http.request", "body": self.whole_body, "more_body": False}
        while not self.disconnected and not self.response_complete:
            await self.message_event.wait()
            self.message_event.clear()
        return {"type": "http.disconnect"}

    def for_asgi(self) -> None:
        """Prepare for what only the way through ASGI needs."""
        protocol = self._protocol
        self.logger = protocol.logger
        self.access_logger = protocol.access_logger
        self.default_headers = protocol.server_state.default_headers
