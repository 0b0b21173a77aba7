"""A path's methods, each with the role that it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from app.authentication.access import Access
from app.http.context import Context
from app.http.problems import ProblemError
from app.http.replies import Reply, send_reply
from app.limits.addresses import AddressLimits

Handler = Callable[[Context], Awaitable[Reply]]


class Secured(NamedTuple):
    """A handler for callers with a role; ``context.caller`` says who."""

    role: str
    handler: Handler
    access: Access

    async def __call__(self, context: Context) -> Reply:
        """Let the caller in, then answer."""
        context.caller = await self.access.require(context, self.role)
        return await self.handler(context)


class Public(NamedTuple):
    """A handler for everybody, within the address's limit; probes have none, and always get through."""

    handler: Handler
    limits: AddressLimits | None

    async def __call__(self, context: Context) -> Reply:
        """Answer."""
        if self.limits is not None:
            self.limits.admit(context)
        return await self.handler(context)


class Resource:
    """An ASGI endpoint: for each method that a path allows, who may call it and what answers."""

    def __init__(
        self,
        limits: AddressLimits,
        *,
        get: Secured | Public | None = None,
        post: Secured | Public | None = None,
    ) -> None:
        """Serve these methods; others count to the address."""
        self._limits = limits
        methods = {"GET": get, "HEAD": get, "POST": post}
        self.methods = {name: method for name, method in methods.items() if method is not None}
        self._allow = ", ".join(self.methods).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise ProblemError for another method."""
        method = self.methods.get(scope["method"])
        if method is None:
            self._limits.admit(Context.of(scope))
            detail = f"allowed: {self._allow.decode()}"
            raise ProblemError("method_not_allowed", detail, headers=((b"allow", self._allow),))
        context = Context.of(scope)
        await send_reply(send, context, await method(context))


class Nowhere:
    """The endpoint of paths that do not exist, which count to the address."""

    def __init__(self, limits: AddressLimits) -> None:
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise ProblemError."""
        self._limits.admit(Context.of(scope))
        raise ProblemError("not_found", "no such path")
