"""The servers that are loaded: the service in two shapes, and the framework doing nothing."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from app.api.sigils import BASE
from app.authentication.bearer import Authenticator
from app.authentication.development import AUDIENCE, ISSUER, DevelopmentIssuer
from app.authentication.key_sources import FixedKeys
from app.http.bodies import BodyLimits
from app.server.protocol import BoundedProtocol
from app.service import build_app
from core.audit import NoAudit
from core.engine import Engine
from core.records import Record, Status
from sigil_native import KeyRing


class NoStore:
    """Keeps nothing: what is left is the work on a request."""

    async def put(self, records: Sequence[Record]) -> None:
        """See Store.put."""

    async def get(self, tenant: str, record_id: str, *, with_payload: bool = True) -> Record | None:
        """See Store.get."""
        return None

    async def list(
        self, tenant: str, *, limit: int, before: str | None, status: Status | None, now_ms: int
    ) -> Sequence[Record]:
        """See Store.list."""
        return ()

    async def revoke(
        self, tenant: str, record_id: str, *, reason: str, revoked_by: str, now_ms: int
    ) -> Record | None:
        """See Store.revoke."""
        return None

    async def probe(self) -> None:
        """See Store.probe."""

    async def close(self) -> None:
        """See Store.close."""


async def _echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())


def echo() -> ASGIApp:
    """Starlette reading JSON and writing it back."""
    return Starlette(routes=[Route(BASE, _echo, methods=["POST"])])


def without_store(data_dir: Path) -> ASGIApp:
    """The whole way of an encode except for what is kept: store and audit log."""
    ring = KeyRing()
    ring.add(os.urandom(32))
    issuer = DevelopmentIssuer(data_dir)
    authenticator = Authenticator(FixedKeys([issuer.public_key]), issuer=ISSUER, audience=AUDIENCE)
    return build_app(Engine(ring, NoStore()), authenticator, NoAudit(), BodyLimits(1 << 20, 30.0))


def main() -> None:
    """Serve ``echo`` or ``without-store`` on an inherited socket: NAME DESCRIPTOR DATA_DIR."""
    name, descriptor, data_dir = sys.argv[1:]
    app = echo() if name == "echo" else without_store(Path(data_dir))
    protocol = "httptools" if name == "echo" else BoundedProtocol
    config = uvicorn.Config(app, loop="uvloop", http=protocol, access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()
