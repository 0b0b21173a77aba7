"""The HTTP server of one process."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

import structlog
import uvicorn
from starlette.types import ASGIApp

from app.server.accepting import Acceptor, Refused
from app.server.certificates import Certificates
from app.server.connections import ConnectionLimits, Connections
from app.server.protocol import BoundedProtocol
from core.descriptors import default_connections, make_room

#: Signals that end the service.
STOPPING: Final = (signal.SIGINT, signal.SIGTERM)

_log = structlog.get_logger("app")


class ServingSettings(Protocol):
    """The settings that say how connections are served."""

    @property
    def hsts_seconds(self) -> int | None:
        """How long browsers shall insist on TLS."""

    @property
    def shutdown_seconds(self) -> int:
        """What a stop gives to what runs."""

    @property
    def max_connections(self) -> int | None:
        """How many there may be."""

    @property
    def keep_alive(self) -> int:
        """Seconds between requests."""

    @property
    def head_timeout(self) -> int:
        """Seconds for a head."""

    @property
    def body_timeout(self) -> int:
        """Seconds for a body."""

    @property
    def write_timeout(self) -> int:
        """Seconds that an answer may wait for its reader."""


class Server(uvicorn.Server):
    """A uvicorn server that changes certificates, says when it accepts, and does not outlive its parent."""

    def __init__(
        self,
        config: uvicorn.Config,
        connections: Connections,
        certificates: Certificates | None,
        on_started: Callable[[], None],
        parent: socket.socket | None = None,
        *,
        on_refused: Refused | None = None,
    ) -> None:
        """Prepare.

        Args:
            config: uvicorn's, without TLS.
            connections: what connections are held to.
            certificates: TLS; None: plain HTTP.
            on_started: called when connections are accepted.
            parent: is closed by the parent's end, whatever its cause; None: there is no parent.
            on_refused: is told of handshakes that failed.
        """
        super().__init__(config)
        self._connections = connections
        self._certificates = certificates
        self._on_started = on_started
        self._parent = parent
        self._on_refused = on_refused

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, and return."""
        # uvicorn raises the signal that stopped it again once it is done: it must not kill us then. And
        # one that comes before uvicorn listens to signals must not be lost.
        for number in STOPPING:
            signal.signal(number, self.handle_exit)
        super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept."""
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._parent_ended, self._parent)
        await super().startup([])  # all but the listening
        certificates = self._certificates
        tls = None if certificates is None else lambda: certificates.context
        make_room = self._connections.make_room
        acceptors = [
            Acceptor(one, self._make_protocol, make_room, tls=tls, on_refused=self._on_refused)
            for one in sockets or ()
        ]
        # uvicorn calls no more of them than an acceptor has.
        self.servers = cast("list[asyncio.Server]", acceptors)
        # What has been made until now stays: the collector need not look at it again and again, which
        # would hold up every request for as long.
        gc.collect()
        gc.freeze()
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, finish what runs."""
        self._connections.stopping = True
        acceptors, self.servers = self.servers, []
        for acceptor in acceptors:
            acceptor.close()
        for listener in sockets or ():
            listener.close()
        # First these: what they make are connections to wait for.
        for acceptor in acceptors:
            await acceptor.wait_closed()
        await super().shutdown(sockets)
        if self.force_exit:
            await self._cut_off()

    async def _cut_off(self) -> None:
        """Hurry: give up requests that are waited for, and finish what the store and the log have begun."""
        tasks = self.server_state.tasks
        _log.warning("stop hurried", pid=os.getpid(), requests_cut_off=len(tasks))
        for task in tasks:
            task.cancel()
        await self.lifespan.shutdown()

    def _make_protocol(self) -> asyncio.Protocol:
        return BoundedProtocol(self._connections, self.config, self.server_state, self.lifespan.state)

    def _parent_ended(self, parent: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        self.should_exit = True


def configuration(settings: ServingSettings, app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the application."""
    headers = []
    if settings.hsts_seconds is not None:
        headers.append(("strict-transport-security", f"max-age={settings.hsts_seconds}"))
    return uvicorn.Config(
        app,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        headers=headers,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def connections_from(settings: ServingSettings) -> Connections:
    """What the process's connections are held to."""
    most = settings.max_connections or default_connections()
    make_room(most)
    return Connections(
        ConnectionLimits(
            connections=most,
            keep_alive_seconds=settings.keep_alive,
            head_seconds=settings.head_timeout,
            drain_seconds=settings.body_timeout,
            write_seconds=settings.write_timeout,
        )
    )
