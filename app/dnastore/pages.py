"""What every client with a good certificate may ask: health, readiness and the description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.routing import Route

from app.dnastore.health import Health, Readiness
from app.dnastore.openapi import document
from app.http.context import Context
from app.http.readiness import Probing
from app.http.replies import Reply, json_reply
from app.http.resource import Gate, Resource


class PageRoutes:
    """Pages for those who need not be in the allow-list."""

    def __init__(self, probe: Callable[[], Awaitable[None]], is_stopping: Callable[[], bool]) -> None:
        """Readiness is what a probe of the store says."""
        self._probing = Probing(probe, is_stopping)
        self._openapi = msgspec.json.encode(document())

    def routes(self, gate: Gate) -> list[Route]:
        """Where the pages live."""
        return [
            Route("/healthz", Resource(gate, get=self.health)),
            Route("/readyz", Resource(gate, get=self.readiness)),
            Route("/openapi.json", Resource(gate, get=self.openapi)),
        ]

    async def health(self, _: Context) -> Reply:
        """The process runs."""
        return json_reply(200, Health("ok"))

    async def readiness(self, _: Context) -> Reply:
        """A write would work."""
        await self._probing.require()
        return json_reply(200, Readiness("ready", "ok"))

    async def openapi(self, _: Context) -> Reply:
        """The description of the wire protocol."""
        return Reply(200, self._openapi)
