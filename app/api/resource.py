"""Who may call what: with a role, or everybody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from app.authentication.access import Access
from app.http.context import Context
from app.http.replies import Reply
from app.http.resource import Handler
from app.http.streams import Stream
from app.limits.addresses import AddressLimits


class Secured(NamedTuple):
    """A handler for callers with a role; ``context.caller`` says who."""

    role: str
    handler: Callable[[Context], Awaitable[Reply | Stream]]
    access: Access

    async def __call__(self, context: Context) -> Reply | Stream:
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
