"""Putting the service together, and running it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
import uvicorn
from starlette.routing import Router
from starlette.types import ASGIApp

from app.api.pages import ServiceRoutes
from app.api.resource import not_found
from app.api.sigils import SigilRoutes
from app.authentication.access import Access
from app.authentication.bearer import Authenticator, TrustedIssuer
from app.authentication.development import DevelopmentIssuer, audit_secret, event_secret
from app.authentication.key_download import KeySetDownload
from app.authentication.key_sources import KeySource
from app.authentication.remote_keys import Pace, RemoteKeys
from app.documentation.routes import DocumentationRoutes
from app.http.bodies import BodyLimits
from app.http.guard import DEFAULT_LIMITS, Guard, RequestLimits
from app.server.accepting import Acceptor
from app.server.connections import ConnectionLimits, Connections
from app.server.listening import listen
from app.server.protocol import BoundedProtocol
from app.server.reloading import Reloader
from app.server.ring_reloading import RingReloading
from core.audit import Audit, NoAudit
from core.audit_log import AuditLog
from core.descriptors import default_connections, make_room
from core.engine import Engine
from core.idempotency import KeyLimits
from core.issuers import RemoteIssuer
from core.keys import ring_from
from core.settings import Settings
from core.sql_store import SqlStore
from sigil_native import __version__


def build_app(
    engine: Engine,
    authenticator: Authenticator,
    audit: Audit,
    body_limits: BodyLimits,
    reloader: Reloader,
    *,
    request_limits: RequestLimits = DEFAULT_LIMITS,
    is_stopping: Callable[[], bool] = lambda: False,
) -> ASGIApp:
    """The ASGI application.

    While the server runs, so does the reloader. Engine, authenticator and audit are closed when it
    shuts down.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        authenticator.start()
        async with reloader.at_work():
            yield
        await engine.close()
        await authenticator.close()
        audit.note("service.stopped", pid=os.getpid())
        await audit.close()

    sigils = SigilRoutes(engine, Access(authenticator, audit), audit, body_limits)
    service = ServiceRoutes(engine, authenticator, audit, is_stopping)
    routes = [*sigils.routes(), *service.routes(), *DocumentationRoutes().routes()]
    router = Router(routes, default=not_found, redirect_slashes=False, lifespan=lifespan)
    return Guard(router, max_body_bytes=body_limits.size, limits=request_limits)


def connections_from(settings: Settings) -> Connections:
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


def authenticator_from(settings: Settings) -> Authenticator:
    """Tokens of the configured issuers; in development, without one, of the service's own."""
    if settings.issuers:
        return Authenticator(TrustedIssuer(one, _keys_of(one, settings)) for one in settings.issuers)
    return Authenticator([DevelopmentIssuer(settings.data_dir).trusted])


def _keys_of(issuer: RemoteIssuer, settings: Settings) -> KeySource:
    download = KeySetDownload(
        issuer.jwks_uri, development=settings.is_development, ca_cert=settings.jwt_ca_cert
    )
    pace = Pace(
        refresh=settings.jwks_refresh, cooldown=settings.jwks_cooldown, max_stale=settings.jwks_max_stale
    )
    return RemoteKeys(download, issuer=issuer.issuer, pace=pace)


def audit_from(settings: Settings) -> Audit:
    """The audit log that the settings ask for, begun with a line about this process.

    Raises:
        AuditUnavailableError: it is required and cannot be written.
    """
    path = settings.audit_file
    if path is None:
        return NoAudit()
    secret = settings.audit_secret
    audit = AuditLog.open(
        path,
        audit_secret(settings.data_dir) if secret is None else secret.get_secret_value(),
        required=settings.audit_failure == "closed",
    )
    audit.note(
        "service.started",
        pid=os.getpid(),
        version=__version__,
        environment=settings.environment,
        settings_sha256=settings.digest(),
    )
    return audit


class _Server(uvicorn.Server):
    """A uvicorn server that accepts by itself, and says when it does."""

    def __init__(
        self, config: uvicorn.Config, connections: Connections, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._connections = connections
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        # uvicorn calls no more of them than an acceptor has.
        acceptors: list[Any] = [
            Acceptor(one, self._protocol, self._connections.make_room) for one in sockets or ()
        ]
        self.servers = acceptors
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.stopping = True
        await super().shutdown(sockets)

    def _protocol(self) -> BoundedProtocol:
        return BoundedProtocol(self._connections, self.config, self.server_state, self.lifespan.state)


def run(settings: Settings, on_started: Callable[[str], None]) -> None:
    """Serve until told to stop by SIGINT or SIGTERM; then finish what runs, and return.

    Args:
        settings: complete and checked.
        on_started: called with the service's URL when it accepts connections.

    Raises:
        PortTakenError: the port is in use, or the host not ours.
        AuditUnavailableError: the audit log is required and cannot be written.
        DomainError, OSError: the store cannot be opened.
    """
    # Until the reloader is there to take it: left alone, it would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with listen(settings.host, settings.port) as listener:
        fallback = event_secret(settings.data_dir) if settings.needs_development_secret else None
        ring = ring_from(settings, fallback)
        authenticator = authenticator_from(settings)
        key_limits = KeyLimits(settings.idempotency_seconds, settings.idempotency_keys)
        store = SqlStore.open(settings.store_url, key_limits=key_limits)
        try:
            audit = audit_from(settings)
            try:
                engine = Engine(ring, store)
                keys = RingReloading(ring, engine, fallback)
                reloader = Reloader([keys], audit, interval=settings.reload_seconds)
                connections = connections_from(settings)
                app = build_app(
                    engine,
                    authenticator,
                    audit,
                    BodyLimits(settings.max_body_bytes, settings.body_timeout),
                    reloader,
                    request_limits=RequestLimits(settings.request_timeout, settings.max_requests),
                    is_stopping=lambda: connections.stopping,
                )
                _serve(settings, app, connections, listener, on_started)
            finally:
                asyncio.run(audit.close())  # these do nothing after an orderly shutdown
        finally:
            asyncio.run(store.close())


def _serve(
    settings: Settings,
    app: ASGIApp,
    connections: Connections,
    listener: socket.socket,
    on_started: Callable[[str], None],
) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        app,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    server = _Server(config, connections, lambda: on_started(url))
    # uvicorn raises the signal that stopped it again once it is done: it must not kill us then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    structlog.get_logger("app").info("stopped")
