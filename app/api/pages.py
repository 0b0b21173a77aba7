"""What needs no token: health, readiness and the API's description."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.routing import Route

from app.api.openapi import document
from app.api.resource import Public, Resource
from app.api.schemas import Health, Readiness
from app.authentication.bearer import Authenticator
from app.http.context import Context
from app.http.problems import ProblemError, retry_after
from app.http.replies import Reply, json_reply
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.engine import Engine
from core.errors import DomainError
from sigil_native import SigilError

_PROBE_SECONDS: Final = 1.0


class ServiceRoutes:
    """What needs no token: health, readiness and the API's description."""

    def __init__(
        self,
        engine: Engine,
        authenticator: Authenticator,
        limits: RateLimits,
        audit: Audit,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._audit = audit
        self._authenticator = authenticator
        self._is_stopping = is_stopping
        self._probing = asyncio.Lock()
        self._probe_again_at = 0.0
        self._trouble: DomainError | SigilError | None = None
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
        """An encode would work. Probes the store at most once a second, whoever asks how often."""
        if self._is_stopping():
            raise ProblemError("not_ready", "the service is stopping")
        async with self._probing:
            if time.monotonic() >= self._probe_again_at:
                self._trouble = await self._probe()
                self._probe_again_at = time.monotonic() + _PROBE_SECONDS
        if self._trouble is not None:
            # Everybody may ask, so the answer says what is missing, and only the log why.
            detail = f"not now: {self._trouble.code}"
            raise ProblemError("not_ready", detail, headers=retry_after(2)) from self._trouble
        return json_reply(200, Readiness("ready", "ok", "ok", self._audit.condition, self._limits.condition))

    async def _probe(self) -> DomainError | SigilError | None:
        try:
            self._audit.check()
            self._limits.check()
            await self._engine.probe()
            await self._authenticator.check()
        except (DomainError, SigilError) as error:
            return error
        return None

    async def openapi(self, _: Context) -> Reply:
        """The description of this API."""
        return Reply(200, self._openapi)
