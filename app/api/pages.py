"""What needs no token: health, readiness and the API's description."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.routing import Route

from app.api.openapi import document
from app.api.resource import Public
from app.api.schemas import Health, Readiness
from app.authentication.bearer import Authenticator
from app.http.context import Context
from app.http.readiness import Probing
from app.http.replies import Reply, json_reply
from app.http.resource import Resource
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.engine import Engine
from core.spool.spooled_store import SpooledStore


class ServiceRoutes:
    """What needs no token: health, readiness and the API's description."""

    def __init__(
        self,
        engine: Engine,
        authenticator: Authenticator,
        limits: RateLimits,
        audit: Audit,
        is_stopping: Callable[[], bool],
        spool: SpooledStore | None = None,
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._spool = spool
        self._audit = audit
        self._authenticator = authenticator
        self._probing = Probing(self._probe, is_stopping)
        self._openapi = msgspec.json.encode(document())

    def routes(self) -> list[Route]:
        """Where the pages live."""
        limits = self._limits.addresses
        return [
            Route("/healthz", Resource(limits, get=Public(self.health, None))),
            Route("/readyz", Resource(limits, get=Public(self.readiness, None))),
            Route("/openapi.json", Resource(limits, get=Public(self.openapi, limits))),
        ]

    async def health(self, _: Context) -> Reply:
        """The process runs."""
        return json_reply(200, Health("ok"))

    async def readiness(self, _: Context) -> Reply:
        """An encode would work."""
        await self._probing.require()
        ready = Readiness("ready", "ok", "ok", self._audit.condition, self._limits.condition)
        if self._spool is not None:
            ready = msgspec.structs.replace(
                ready, spool=self._spool.condition, spool_rejected=self._spool.rejected
            )
        return json_reply(200, ready)

    async def _probe(self) -> None:
        self._audit.check()
        self._limits.check()
        await self._engine.probe()
        await self._authenticator.check()

    async def openapi(self, _: Context) -> Reply:
        """The description of this API."""
        return Reply(200, self._openapi)
