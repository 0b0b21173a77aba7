"""The whole application in the test's own process, where one can look at its routes and its statements.

Everything is real but the socket: requests go in as ASGI messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import sqlalchemy as sa
from starlette.routing import Route, Router

from app.authentication.bearer import Authenticator
from app.authentication.development import DevelopmentIssuer
from app.authentication.roles import ROLES
from app.http.bodies import BodyLimits
from app.http.resource import Resource
from app.limits.limits import RateLimits
from app.server.reloading import Reloader
from app.service import build_app
from core.audit.interface import Audit, NoAudit
from core.engine import Engine
from core.seals import Seals
from core.store.retention import Retention
from core.store.sql_store import SqlStore
from sigil_native import KeyRing
from tests.service.running import Answer


class Statement(NamedTuple):
    """An SQL statement as it was executed."""

    sql: str
    parameters: Any
    many: bool

    @property
    def tenants(self) -> set[object]:
        """The values that it is bound to as tenants; empty if it speaks of no tenant."""
        columns = re.match(r"INSERT INTO \w+ \((.*?)\)", self.sql)
        if columns:
            places = [columns[1].split(", ").index("tenant")] if "tenant" in columns[1] else []
        else:
            found = re.finditer(r"\btenant = \?", self.sql)
            places = [self.sql.count("?", 0, match.start()) for match in found]
        rows = self.parameters if self.many else [self.parameters]
        return {row[place] for row in rows for place in places}


class Statements:
    """Records what a store's connections execute, and how much work the database has with it."""

    def __init__(self, store: SqlStore) -> None:
        self.executed: list[Statement] = []
        self.steps: list[int] = []
        for engine in (store._database.writing, store._database.reading):
            sa.event.listen(engine, "before_cursor_execute", self._execute)

    def clear(self) -> None:
        """Forget what was recorded."""
        self.executed.clear()
        self.steps.clear()

    def _execute(self, _: Any, cursor: Any, sql: str, parameters: Any, context: object, many: bool) -> None:
        self.executed.append(Statement(sql, parameters, many))
        self.steps.append(0)
        # Called at each instruction of SQLite's virtual machine.
        cursor.connection.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.steps[-1] += 1
        return 0


class InProcess:
    """The application over a store in a folder."""

    def __init__(
        self,
        folder: Path,
        audit: Audit | None = None,
        *,
        days: int = 0,
        rate_limits: RateLimits | None = None,
    ) -> None:
        self.issuer = DevelopmentIssuer(folder)
        self.store = SqlStore.open(f"sqlite:///{folder / 'sigils.db'}")
        self.statements = Statements(self.store)
        ring = KeyRing()
        ring.add("s" * 32)
        authenticator = Authenticator([self.issuer.trusted])
        audit = audit or NoAudit()
        reloader = Reloader([], audit, interval=0)
        limits = BodyLimits(1 << 20, 30)
        retention = Retention(self.store, days, every=0.01) if days else None
        engine = Engine(Seals(ring), self.store)
        self.app = build_app(
            engine, authenticator, audit, limits, reloader, retention=retention, rate_limits=rate_limits
        )

    def token(self, tenant: str, *roles: str, subject: str = "tester") -> str:
        """A token; every role unless some are named."""
        return self.issuer.token(tenant, subject, roles or ROLES, lifetime=3600)

    def resources(self) -> dict[str, Resource]:
        """The routing table: each path with its methods."""
        table = {}
        for route in self._router().routes:
            assert isinstance(route, Route)
            assert isinstance(route.endpoint, Resource), route.path
            table[route.path] = route.endpoint
        return table

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; a body that is no bytes is sent as its JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        scope = self.scope(method, path, len(content), token=token, headers=headers)
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        start, *rest = messages
        answer = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], answer, b"".join(message.get("body", b"") for message in rest))

    def scope(
        self,
        method: str,
        path: str,
        size: int,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """What ASGI has of a request with a body of so many bytes."""
        own = {name.lower(): value for name, value in (headers or {}).items()}
        sent = {"content-type": "application/json", "content-length": str(size), **own}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        plain, _, query = path.partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(plain),
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """What the server does around serving."""
        return self._router().lifespan_context(self.app)

    def _router(self) -> Router:
        layer: Any = self.app
        while not isinstance(layer, Router):
            layer = layer._app
        return layer

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()
