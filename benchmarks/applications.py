"""The servers that are loaded: the service in two shapes, and the framework doing nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from app.api.paths import BASE
from app.authentication.bearer import Authenticator
from app.authentication.development import DevelopmentIssuer
from app.http.bodies import BodyLimits
from app.limits.limits import rate_limits_from
from app.metrics.metrics import Metrics
from app.metrics.observers import Observers, counting_in
from app.server.reloading import Reloader
from app.server.serving import Server, configuration, connections_from
from app.service import build_app
from core.audit.interface import NoAudit
from core.engine import Engine
from core.errors import RecordCorruptError
from core.idempotency import Claim
from core.later import Later, Sequel
from core.records import Entry, Listing, Place, Record, Status
from core.seals import Seals
from core.settings import Settings, load_settings
from sigil_native import KeyRing


class NoStore:
    """Keeps nothing: what is left is the work on a request."""

    def start(self) -> None:
        """See Store.start."""

    async def put(self, records: Sequence[Record], entries: Sequence[Entry] = ()) -> None:
        """See Store.put."""

    def put_soon(self, records: Sequence[Record], sequel: Sequel | None = None) -> None:
        """See PromptStore.put_soon."""

    def find_soon(self, tenant: str, record_ids: Sequence[str]) -> Later:
        """See PromptStore.find_soon."""
        nothing = Later(asyncio.get_running_loop())
        nothing.set_result({})
        return nothing

    async def put_once(self, record: Record, claim: Claim) -> Record:
        """See Store.put_once."""
        return record

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        return None

    async def get_many(
        self, tenant: str, record_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, Record | RecordCorruptError]:
        """See Store.get_many."""
        return {}

    async def list(
        self,
        tenant: str,
        *,
        limit: int,
        before: str | None,
        status: Status | None,
        now_ms: int,
        with_payload: bool = False,
    ) -> Listing:
        """See Store.list."""
        return Listing(())

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        return None

    async def entries(self, tenant: str, *, after: Place | None, limit: int) -> Sequence[Entry]:
        """See Store.entries."""
        return ()

    async def count(self) -> Mapping[str, int]:
        """See Store.count."""
        return {}

    async def purge(self, tenant: str, *, before: str, limit: int) -> int:
        """See Store.purge."""
        return 0

    async def probe(self) -> None:
        """See Store.probe."""

    async def close(self) -> None:
        """See Store.close."""


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


def echo() -> ASGIApp:
    """Starlette reading JSON and writing it back."""
    return Starlette(routes=[Route(BASE, _echo, methods=["POST"])])


def without_store(settings: Settings, observers: Observers) -> ASGIApp:
    """The whole way of an encode, limits and metrics too, except for what is kept: store and audit log."""
    ring = KeyRing()
    ring.add(os.urandom(32))
    return build_app(
        Engine(Seals(ring), NoStore()),
        Authenticator([DevelopmentIssuer(settings.data_dir).trusted]),
        NoAudit(),
        BodyLimits(settings.max_body_bytes, settings.body_timeout),
        Reloader([], NoAudit(), interval=0),
        rate_limits=rate_limits_from(settings, None, NoAudit(), observers.limits),
        observers=observers,
    )


def main() -> None:
    """Serve ``echo`` or ``without-store`` on an inherited socket: NAME DESCRIPTOR."""
    name, descriptor = sys.argv[1:]
    settings = load_settings("development")
    listener = socket.socket(fileno=int(descriptor))
    listener.setblocking(False)
    if name == "echo":
        uvicorn.Server(uvicorn.Config(echo(), loop="uvloop", access_log=False)).run([listener])
    else:
        metrics = Metrics("127.0.0.1", 0, 1, variables="")
        # What has gathered is handed on once a second, as in the service.
        with contextlib.closing(metrics), metrics.at_work(counting_in) as observers:
            configured = configuration(settings, without_store(settings, observers))
            Server(configured, connections_from(settings), None, lambda: None, None).run([listener])


if __name__ == "__main__":
    main()
