"""Which resource a path names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class Paths(Router):
    """A router that knows paths without parameters by heart, and tries the patterns for the others only."""

    def __init__(
        self, routes: Sequence[Route], *, default: ASGIApp, lifespan: Callable[[Any], Any] | None = None
    ) -> None:
        """Route to ``routes``; ``default`` answers where none fits. A path with a slash more is another."""
        super().__init__(routes, default=default, redirect_slashes=False, lifespan=lifespan)
        self._plain = {route.path: route.app for route in routes if not route.param_convertors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a scope on to where it belongs."""
        app = self._plain.get(scope.get("path", "")) or super().__call__
        await app(scope, receive, send)
